"""Paths in settings that lead elsewhere: refused quickly, with a message that shows details to administrators only."""

import asyncio
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from ceems_grpc.panels.live import channel_key
from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.hostile.wellness import MILLISECONDS, check_words, contents, names_in
from tests.support.plugin.ceems import COMMAND
from tests.support.plugin.process import Plugin, running
from tests.support.plugin.source import Source, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PATIENCE = 15.0  # seconds; waiting for a pipe or a device never ends
_CONTENTS = ("root:", "/bin/", "GF_VERSION", "grafana_plugin_type", "TOP-SECRET")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("places")
    (folder / "to-passwd.db").symlink_to("/etc/passwd")
    (folder / "to-zero.db").symlink_to("/dev/zero")
    (folder / "to-itself.db").symlink_to(folder / "to-itself.db")
    (folder / "secret.txt").write_text("TOP-SECRET " * 1000)
    (folder / "empty.db").touch()
    os.mkfifo(folder / "pipe.db")
    (folder / "folder.db").mkdir()
    (folder / "of-a-pipe").mkdir()
    os.mkfifo(folder / "of-a-pipe" / "ceems.db")
    # The address of a socket must be short.
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)
        try:
            listener.bind("socket.db")
        finally:
            os.chdir(here)
        names = (
            "to-passwd.db",
            "to-zero.db",
            "to-itself.db",
            "secret.txt",
            "empty.db",
            "pipe.db",
            "folder.db",
            "of-a-pipe",
            "socket.db",
            "to-passwd.db/x",
            "secret.txt?mode=rwc",
            "new.db?mode=rwc&cache=shared",
            "new.db#x",
            "%6eew.db",
            ":memory:",
            "secret.txt\n",
            "'; ATTACH 'x' AS y; --",
        )
        yield {
            **{name: f"{folder}/{name}" for name in names},
            "upwards": f"{folder}/../../../../../../../../../../etc/passwd",
            **{
                path: path
                for path in (
                    "/",
                    "/etc/passwd",
                    "/etc/shadow",
                    "/dev/zero",
                    "/dev/full",
                    "/dev/stdin",
                    "/dev/tty",
                    "/dev/random",
                    "/dev/fd/0",
                    "/proc/self/environ",
                    "/proc/self/mem",
                    "/proc/self/fd/1",
                    "/proc/self/exe",
                    "/proc/kcore",
                    ":memory:",
                    "~/ceems.db",
                    "$HOME/ceems.db",
                    "",
                    "../../etc/passwd",
                    "//host/share/ceems.db",
                    "\\\\host\\share",
                    "C:\\ceems.db",
                    "-",
                    "|id",
                    "`id`",
                )
            },
        }


async def said_by_all(ceems: Source, role: str) -> list[str]:
    """Call in all ways and return the messages; all calls must be refused."""
    login = f"somebody-{role}"
    async with asyncio.timeout(_PATIENCE):
        health = await ceems.health(login, role)
        assert health.status == pb.CheckHealthResponse.ERROR, health.message
        answer = (await ceems.query(login, {"A": {"queryType": "units"}}, MILLISECONDS, role=role))["A"]
        assert answer.status in {400, 500, 503}, answer
        rest = await ceems.get(login, "units", role=role)
        assert rest.status in {400, 500, 503}, rest.body
        open_to_all = await ceems.get(None, "health")
        assert (open_to_all.status, open_to_all.body) == (503, b"KO") or open_to_all.status == 400
        channel = f"stats/{channel_key(login)}"
        streamed = pb.SubscribeStreamRequest(pluginContext=ceems.asker(login, role).context(), path=channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ceems.plugin.call("Stream.SubscribeStream", streamed)
        details = refused.value.details() or ""
    details_of_health = json.loads(health.jsonDetails or "{}")
    return [
        health.message,
        json.dumps(details_of_health),
        answer.error,
        rest.json.get("error") or rest.json["message"],
        details,
    ]


async def test_paths_that_lead_to_no_database(plugin: Plugin, ceems: Source, places: dict[str, str]) -> None:
    del ceems
    for name, path in places.items():
        odd = source(plugin, path)
        for role in ("Viewer", "Editor", "", "Grafana Admin"):
            for said in await said_by_all(odd, role):
                check_words(said)
                assert "unexpectedly" not in said, name
        for said in await said_by_all(odd, "Admin"):  # may read the path that they configured, but no contents
            assert "unexpectedly" not in said, (name, said)
            assert not [text for text in _CONTENTS if text in said.replace(path, "")], (name, said)


async def test_no_path_makes_a_file(plugin: Plugin, ceems: Source, places: dict[str, str], tmp_path: Path) -> None:
    del ceems
    for name in (
        "new.db",
        "new.db?mode=rwc",
        "new.db?mode=memory&cache=shared",
        "sub/new.db",
        "new.db-wal",
        " new.db ",
    ):
        await said_by_all(source(plugin, f"{tmp_path}/{name}"), "Admin")
    assert names_in(tmp_path) == []
    before = contents(places["secret.txt"])
    await said_by_all(source(plugin, places["secret.txt"]), "Admin")
    assert contents(places["secret.txt"]) == before
    assert sorted(path.name for path in Path(places["empty.db"]).parent.iterdir() if path.name.startswith("empty")) == [
        "empty.db"
    ]


async def test_a_name_that_looks_like_a_uri_is_just_a_name(
    plugin: Plugin, ceems: Source, database: Path, tmp_path: Path
) -> None:
    del ceems
    for number, name in enumerate(
        ("ceems.db?mode=rwc", "100%41.db", "a#b.db", "it's.db", "a b.db", "ü.db", "-ceems.db")
    ):
        copy = tmp_path / str(number) / name
        copy.parent.mkdir()
        shutil.copyfile(database, copy)
        odd = source(plugin, copy)
        assert (await odd.health()).status == pb.CheckHealthResponse.OK, name
        assert names_in(copy.parent) == sorted({name, f"{name}-shm", f"{name}-wal"}), name


async def test_a_link_that_is_turned_to_a_pipe_later(
    plugin: Plugin, ceems: Source, database: Path, tmp_path: Path
) -> None:
    del ceems
    link, other = tmp_path / "ceems.db", tmp_path / "pipe"
    link.symlink_to(database)
    os.mkfifo(other)
    odd = source(plugin, link)
    assert (await odd.health()).status == pb.CheckHealthResponse.OK
    link.unlink()
    link.symlink_to(other)
    for said in await said_by_all(odd, "Viewer"):
        check_words(said)
    link.unlink()
    link.symlink_to(database)
    assert (await odd.health()).status == pb.CheckHealthResponse.OK


FOLDERS = (
    "relative",
    "/proc/self/fd",
    "/dev/null",
    "/dev/null/x",
    "/etc/passwd",
    "/nonexistent/a",
    "\0",
    "~",
    "/a" * 3000,
)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda text: repr(text[:20]))
async def test_folders_of_the_mirror_that_are_none(plugin: Plugin, ceems: Source, database: Path, folder: str) -> None:
    del ceems
    odd = source(plugin, database, mirror={"mode": "auto", "folder": folder})
    async with asyncio.timeout(_PATIENCE):
        health = await odd.health("eve", "Viewer")
        assert "unexpectedly" not in health.message
        if health.status != pb.CheckHealthResponse.OK:
            check_words(health.message, "such as /var/cache/grafana")


@pytest.mark.parametrize(
    "option",
    [
        "passfile=/etc/passwd",
        "service=x",
        "servicefile=/etc/passwd",
        "hostaddr=192.0.2.1",
        "%70assfile=/etc/passwd",
        "sslmode=disable&hostaddr=",
        "sslkeylogfile=/tmp/keys",
        "options=-c%20log_directory%3D/tmp",
        "sslpassword=x",
        "sslcrldir=/etc",
        "krbsrvname=x",
        "a_new_option=1",
    ],
)
async def test_a_url_of_postgresql_names_no_file_with_passwords(plugin: Plugin, ceems: Source, option: str) -> None:
    odd = Source(plugin, {"postgres": f"postgresql://x@db.example.org/ceems?{option}"})
    for role in ("Viewer", "Admin"):
        health = await odd.health("eve", role)
        assert health.status == pb.CheckHealthResponse.ERROR
        assert "The URL of PostgreSQL may not have" in health.message
        check_words(health.message)
    assert ceems


@pytest.mark.parametrize("option", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
async def test_files_for_tls_lie_in_the_allowed_paths(tmp_path: Path, option: str) -> None:
    """The message about a file outside is the same whether it exists or not."""
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    for folder in (allowed, outside):
        folder.mkdir()
        (folder / "there.pem").write_text("x")
    (allowed / "link.pem").symlink_to(outside / "there.pem")
    limits = {"GF_PLUGIN_ALLOWED_PATHS": str(allowed)}
    async with running(COMMAND, limits) as limited:
        said = set()
        for file in (outside / "there.pem", outside / "missing.pem", allowed / "link.pem", allowed / ".." / "x"):
            odd = Source(limited, {"postgres": f"postgresql://x@127.0.0.1:1/ceems?sslmode=verify-ca&{option}={file}"})
            health = await odd.health("eve", "Admin")
            assert health.status == pb.CheckHealthResponse.ERROR
            said.add(health.message)
        assert said == {f"The file of {option} in the URL of PostgreSQL is not among this Grafana's allowed_paths."}
        fine = Source(limited, {"postgres": f"postgresql://x@127.0.0.1:1/ceems?{option}={allowed / 'there.pem'}"})
        assert "allowed_paths" not in (await fine.health("eve", "Admin")).message
        relative = Source(limited, {"postgres": f"postgresql://x@127.0.0.1:1/ceems?{option}=there.pem"})
        assert "absolute path" in (await relative.health("eve", "Admin")).message


@pytest.mark.parametrize("text", ["first\r\nsecond", "first second", "first\tsecond", "caf\u00e9", "a\0b", "\x1b[31m"])
@pytest.mark.parametrize("place", ["token", "caCert", "clientKey", "postgresPassword"])
async def test_secrets_that_cannot_be_sent_are_named_and_not_told(
    plugin: Plugin, ceems: Source, place: str, text: str
) -> None:
    del ceems
    if (place, text) in {("postgresPassword", "first second"), ("postgresPassword", "caf\u00e9")}:
        return  # a password may have spaces and any letters
    if place in {"caCert", "clientKey"} and text in {"first\r\nsecond", "first second", "first\tsecond"}:
        return  # a PEM text has lines
    address = {"postgres": "postgresql://x@127.0.0.1:1/ceems"} if place == "postgresPassword" else {"address": "h:1"}
    source_ = Source(plugin, address)
    asker = source_.asker("eve", "Admin")
    asker.secure_json = {place: text}
    request = pb.CheckHealthRequest(pluginContext=asker.context())
    health = await plugin.call("Diagnostics.CheckHealth", request)
    assert health.status == pb.CheckHealthResponse.ERROR
    assert f"The secret {place} cannot be used" in health.message
    assert text not in health.message
    assert not [line for line in plugin.log() if "first" in str(line)]

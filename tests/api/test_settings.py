"""Settings of the data source and of the plugin: what they allow, and the messages when they are wrong."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.support.databases import DAY, NOON
from tests.support.people import write_people_site
from tests.support.plugin.ceems import COMMAND, read_frame
from tests.support.plugin.process import Asker, Plugin, running
from tests.support.plugin.source import Source, error_of, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

WINDOW = (("from", NOON - 3600), ("to", NOON + 3600))
MILLISECONDS = ((NOON - 3600) * 1000, (NOON + 3600) * 1000)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "ceems.db"
    write_people_site(path)
    return path


async def refusals(ceems: Source) -> dict[str, str]:
    """Return the messages in which health, a query and a resource call say that the data source cannot be used."""
    health = await ceems.health()
    assert health.status == pb.CheckHealthResponse.ERROR
    answer = (await ceems.query("ann", {"A": {"queryType": "units"}}, MILLISECONDS))["A"]
    assert answer.status == 400
    assert answer.errorSource == "downstream"
    resource = await ceems.get("ann", "units")
    assert resource.status == 400
    return {"health": health.message, "query": answer.error, "resource": resource.json["message"]}


async def check_refused(ceems: Source, *words: str) -> str:
    """Check that all messages are the same, and that they contain these words."""
    said = await refusals(ceems)
    assert len(set(said.values())) == 1, said
    sentence = said["health"]
    for word in words:
        assert word in sentence, (word, sentence)
    assert "unexpectedly" not in sentence
    assert sentence.endswith(".")
    return sentence


async def check_open(ceems: Source) -> None:
    assert (await ceems.health()).status == pb.CheckHealthResponse.OK
    assert [row["uuid"] for row in await ceems.rows("ann", "units", *WINDOW)] == ["unit-ann"]


BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"adminRole": "admin"}, "adminRole"),
    ({"adminRole": "GrafanaAdmin"}, "adminRole"),
    ({"adminRole": True}, "adminRole"),
    ({"serviceUser": 7}, "serviceUser"),
    ({"serviceUser": ["ann"]}, "serviceUser"),
    ({"sharedTags": "partition"}, "sharedTags"),
    ({"sharedTags": [1]}, "sharedTags"),
    ({"rowLimit": -1}, "rowLimit"),
    ({"rowLimit": "many"}, "rowLimit"),
    ({"rowLimit": 1.5}, "rowLimit"),
    ({"maxQueryWindow": "soon"}, "maxQueryWindow"),
    ({"maxQueryWindow": "-1d"}, "maxQueryWindow"),
    ({"maxQueryWindow": -5}, "maxQueryWindow"),
    ({"maxQueryWindow": "1001y"}, "maxQueryWindow"),
    ({"maxQueryWindow": "9" * 400 + "d"}, "maxQueryWindow"),
    ({"maxQueryWindow": None}, "maxQueryWindow"),
    ({"queryTimeout": "30 parsecs"}, "queryTimeout"),
    ({"timezone": "Mars/Olympus"}, "time zone"),
    ({"timezone": "../../etc/passwd"}, "time zone"),
    ({"timezone": "Europe"}, "time zone"),
    ({"path": ""}, "path"),
    ({"path": "   "}, "path"),
    ({"path": None}, "path"),
    ({"path": 5}, "path"),
    ({"path": "/tmp/a\0b"}, "path"),
    ({"path": "file:/tmp/ceems.db?mode=rwc"}, "path"),
    ({"path": "https://example.org/ceems.db"}, "path"),
    ({"path": "/" + "x" * 5000}, "path"),
)


@pytest.mark.parametrize(("wrong", "word"), BAD, ids=lambda value: str(value)[:40])
async def test_a_wrong_setting_is_named_by_all(
    plugin: Plugin, database: Path, wrong: dict[str, Any], word: str
) -> None:
    await check_refused(Source(plugin, {"path": str(database), **wrong}), word)


@dataclass
class RawAsker(Asker):
    """Sends settings unchanged, together with the configuration of Grafana itself."""

    json_text: bytes = b"{}"
    grafana: dict[str, str] = field(default_factory=dict)

    def context(self) -> pb.PluginContext:
        context = super().context()
        context.dataSourceInstanceSettings.jsonData = self.json_text
        context.grafanaConfig.update(self.grafana)
        return context


class RawSource(Source):
    """A data source whose settings need not be an object."""

    text: bytes = b"{}"
    grafana: dict[str, str] = {}  # noqa: RUF012 - set on each object

    def asker(self, login: str | None, role: str = "Viewer") -> Asker:
        uid = f"raw-{hash((self.text, str(self.grafana))) & 0xFFFFFFFF:x}"
        return RawAsker(login=login, role=role, uid=uid, json_text=self.text, grafana=self.grafana)


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"7", b'"x"', b"{", b"\xff", b"{}", b'{"path": "' + b"[" * 5000])
async def test_settings_that_are_no_object_are_refused(plugin: Plugin, text: bytes) -> None:
    ceems = RawSource(plugin, {})
    ceems.text = text
    await check_refused(ceems, "data")


async def test_a_request_without_a_data_source_is_refused(plugin: Plugin) -> None:
    request = pb.CallResourceRequest(pluginContext=pb.PluginContext(user=pb.User(login="ann")), path="units")
    (part,) = await plugin.collect("Resource.CallResource", request)
    assert part.code == 400


async def test_a_missing_file_is_told_without_its_path_but_to_administrators(plugin: Plugin, tmp_path: Path) -> None:
    ceems = source(plugin, tmp_path / "folder" / "ceems.db")
    for role in ("", "Viewer", "Editor"):
        health = await ceems.health("ann", role)
        assert health.status == pb.CheckHealthResponse.ERROR
        assert str(tmp_path) not in health.message + health.jsonDetails.decode()
    assert str(tmp_path / "folder") in (await ceems.health("ann", "Admin")).message
    for role in ("Viewer", "Admin"):
        assert str(tmp_path) not in error_of(await ceems.get("ann", "units", role=role))[2]


async def test_a_path_may_be_a_folder_and_have_spaces_around(plugin: Plugin, database: Path) -> None:
    for path in (str(database.parent), f" {database} ", f"{database.parent}/./x/../ceems.db", f"{database.parent}//"):
        if "/x/" in path:
            (database.parent / "x").mkdir(exist_ok=True)
        await check_open(source(plugin, path))


# Which files a data source may name


@dataclass
class Files:
    """Folders for the settings of grafana.ini: some allowed, some not."""

    root: Path

    @property
    def allowed(self) -> Path:
        return self.root / "allowed"

    @property
    def secret(self) -> Path:
        return self.root / "secret"

    @property
    def blocked(self) -> Path:
        return self.allowed / "blocked"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    files = Files(tmp_path_factory.mktemp("files"))
    for folder in (files.allowed, files.secret, files.blocked, files.root / "allowed-not", files.allowed / "deep/er"):
        folder.mkdir(parents=True)
        write_people_site(folder / "ceems.db")
    write_people_site(files.root / "single.db")
    (files.allowed / "to-secret.db").symlink_to(files.secret / "ceems.db")
    (files.allowed / "to-secret").symlink_to(files.secret)
    (files.allowed / "to-blocked.db").symlink_to(files.blocked / "ceems.db")
    (files.allowed / "chain.db").symlink_to(files.allowed / "to-secret.db")
    (files.secret / "to-allowed.db").symlink_to(files.allowed / "ceems.db")
    (files.allowed / "loop.db").symlink_to(files.allowed / "loop.db")
    (files.root / "link-to-allowed").symlink_to(files.allowed)
    return files


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(files: Files) -> AsyncIterator[Plugin]:
    environment = {
        "GF_PLUGIN_ALLOWED_PATHS": f"{files.root / 'link-to-allowed'}: {files.root}/x/../single.db",
        "GF_PLUGIN_BLOCKED_PATHS": f"{files.blocked},{files.allowed}/deep/er/",
    }
    async with running(COMMAND, environment) as plugin:
        yield plugin


OPEN = ("allowed/ceems.db", "allowed", "single.db", "secret/to-allowed.db", "secret/../allowed/ceems.db",
        "link-to-allowed/ceems.db", "allowed/deep/../ceems.db")  # fmt: skip
CLOSED = (
    "secret/ceems.db", "secret", "allowed/../secret/ceems.db", "allowed/to-secret.db", "allowed/to-secret/ceems.db",
    "allowed/to-secret", "allowed/chain.db", "allowed-not/ceems.db", "single.db-wal", "allowed/./.././secret/ceems.db",
    "link-to-allowed/../secret/ceems.db", "link-to-allowed/to-secret/../secret/ceems.db", "nothing.db", "",
)  # fmt: skip
BLOCKED = ("allowed/blocked/ceems.db", "allowed/blocked", "allowed/to-blocked.db", "allowed/deep/er/ceems.db",
           "allowed/deep/../blocked/ceems.db", "link-to-allowed/blocked/ceems.db")  # fmt: skip


@pytest.mark.parametrize("path", OPEN)
async def test_allowed_files_are_opened(guarded: Plugin, files: Files, path: str) -> None:
    await check_open(source(guarded, f"{files.root}/{path}"))


@pytest.mark.parametrize("path", CLOSED)
async def test_other_files_are_refused(guarded: Plugin, files: Files, path: str) -> None:
    sentence = await check_refused(source(guarded, f"{files.root}/{path}"), "not among", "allowed_paths")
    assert str(files.root) not in sentence


@pytest.mark.parametrize("path", BLOCKED)
async def test_blocked_files_are_refused_though_allowed(guarded: Plugin, files: Files, path: str) -> None:
    sentence = await check_refused(source(guarded, f"{files.root}/{path}"), "blocked", "blocked_paths")
    assert str(files.root) not in sentence


async def test_no_mirror_lies_in_a_blocked_folder(guarded: Plugin, files: Files) -> None:
    ceems = source(guarded, files.allowed / "ceems.db", mirror={"folder": str(files.blocked)})
    sentence = await check_refused(ceems, "mirror", "blocked_paths")
    assert str(files.root) not in sentence


def relative(path: Path) -> str:
    """Return a path relative to the working folder of the plugin in these tests."""
    return os.path.relpath(path, Path(__file__).parents[2])


async def test_a_relative_path_is_judged_by_where_it_leads(guarded: Plugin, files: Files) -> None:
    await check_open(source(guarded, relative(files.allowed / "ceems.db")))
    await check_refused(source(guarded, relative(files.secret / "ceems.db")), "not among")
    await check_refused(source(guarded, "tests/golden/synthetic.db"), "not among")


async def test_a_link_that_leads_nowhere_is_refused(guarded: Plugin, files: Files) -> None:
    said = await refusals(source(guarded, files.allowed / "loop.db"))
    assert not [text for text in said.values() if "unexpectedly" in text]


async def test_what_is_refused_does_not_tell_what_exists(guarded: Plugin, files: Files) -> None:
    there = await refusals(source(guarded, files.secret / "ceems.db"))
    for other in (files.secret / "nothing.db", files.root / "no/such/folder/x.db", "/etc/shadow", "/proc/self/environ"):
        assert await refusals(source(guarded, other)) == there, other


@pytest.mark.parametrize("name", ["GF_PLUGIN_BLOCKED_PATHS", "GF_PLUGIN_BLOCKEDPATHS"])
async def test_blocked_paths_alone_block_only_those(files: Files, name: str) -> None:
    async with running(COMMAND, {name: str(files.secret)}) as plugin:
        await check_open(source(plugin, files.allowed / "ceems.db"))
        await check_refused(source(plugin, files.allowed / "to-secret.db"), "blocked_paths")


async def test_settings_of_a_data_source_cannot_widen_what_is_allowed(guarded: Plugin, files: Files) -> None:
    wide = {"allowedPaths": "/", "allowed_paths": ["/"], "blockedPaths": "", "GF_PLUGIN_ALLOWED_PATHS": "/"}
    await check_refused(source(guarded, files.secret / "ceems.db", **wide), "not among")


# Limits


@pytest.mark.parametrize("setting", ["1d", "24h", "86400s", 86400, " 1d ", "1440m"])
async def test_no_window_is_longer_than_allowed(plugin: Plugin, database: Path, setting: str | int) -> None:
    ceems = source(plugin, database, maxQueryWindow=setting)
    exact, over = (("from", NOON - DAY), ("to", NOON)), (("from", NOON - DAY - 1), ("to", NOON))
    paths = ("units", "units/admin", "usage/current", "usage/current/admin", "stats/current/admin")
    for path in paths:
        assert (await ceems.get("root", path, *exact)).status == 200, path
        assert (await ceems.get("root", path)).status == 200, path  # 24 hours
        answer = await ceems.get("root", path, *over)
        assert error_of(answer) == (400, "bad_data", "maximum query window exceeded"), path
        assert (await ceems.get("root", path, ("from", 0))).status == 400, path
    for path in ("usage/global", "usage/global/admin", "stats/global/admin", "projects", "users"):
        assert (await ceems.get("root", path, *over)).status == 200, path
    assert [row["uuid"] for row in await ceems.rows("ann", "units", *over, ("uuid", "unit-ann"))] == ["unit-ann"]
    for kind in ("units", "usage", "stats", "usage-over-time"):
        model = {"A": {"queryType": kind, "admin": True}}
        answers = await ceems.query("root", model, ((NOON - DAY - 1) * 1000, NOON * 1000))
        assert (answers["A"].status, answers["A"].error) == (400, "maximum query window exceeded"), kind
        assert not (await ceems.query("root", model, ((NOON - DAY) * 1000, NOON * 1000)))["A"].error, kind


@pytest.mark.parametrize("setting", ["", " ", 0, "0d"])
async def test_no_maximum_is_any_window(plugin: Plugin, database: Path, setting: str | int) -> None:
    ceems = source(plugin, database, maxQueryWindow=setting)
    for path in ("units/admin", "usage/current/admin", "stats/current/admin"):
        assert (await ceems.get("root", path, ("from", 0))).status == 200, path


async def test_grafanas_row_limit_is_the_default_and_ours_goes_before(plugin: Plugin, database: Path) -> None:
    async def count(settings: str, grafana: dict[str, str]) -> tuple[int, bool]:
        ceems = RawSource(plugin, {})
        ceems.text = f'{{"path": "{database}"{settings}}}'.encode()
        ceems.grafana = grafana
        body = (await ceems.get("root", "units/admin", *WINDOW)).json
        answer = (await ceems.query("root", {"A": {"queryType": "units", "admin": True}}, MILLISECONDS))["A"]
        table = read_frame(answer.frames[0])
        notice = b'"notices"' in table.schema.metadata[b"meta"] and b"first" in table.schema.metadata[b"meta"]
        assert (len(body["data"]), "warnings" in body) == (table.num_rows, notice)
        return table.num_rows, notice

    assert await count("", {}) == (5, False)
    assert await count("", {"GF_SQL_ROW_LIMIT": "2"}) == (2, True)
    assert await count(', "rowLimit": 3', {"GF_SQL_ROW_LIMIT": "2"}) == (3, True)
    assert await count(', "rowLimit": 0', {"GF_SQL_ROW_LIMIT": "4"}) == (4, True)
    assert await count(', "rowLimit": 5', {"GF_SQL_ROW_LIMIT": "-1"}) == (5, False)
    assert await count("", {"GF_SQL_ROW_LIMIT": "lots"}) == (5, False)


async def test_a_query_may_ask_for_fewer_rows_but_not_for_more(plugin: Plugin, database: Path) -> None:
    ceems = source(plugin, database, rowLimit=3)
    for limit, rows in ((1, 1), (3, 3), (4, 3), (1_000_000, 3)):
        for kind in ("units", "usage", "users"):
            model = {"queryType": kind, "admin": True, "limit": limit}
            assert (await ceems.table("root", model, MILLISECONDS)).num_rows == rows, (kind, limit)


async def test_changed_settings_count_at_once(plugin: Plugin, database: Path) -> None:
    @dataclass
    class Saved(Source):
        """One data source that is saved again and again."""

        saved: int = 0

        def asker(self, login: str | None, role: str = "Viewer") -> Asker:
            updated = 1_700_000_000_000 + self.saved
            return Asker(login=login, role=role, uid="saved", json_data=self.json_data, updated_ms=updated)

    def saved(number: int, **settings: Any) -> Saved:
        return Saved(plugin, {"path": str(database), **settings}, saved=number)

    assert (await saved(1, adminRole="Viewer").get("ann", "units/admin", *WINDOW)).status == 200
    assert (await saved(2).get("ann", "units/admin", *WINDOW)).status == 403
    assert (await saved(3, serviceUser="ann", serviceUserResources=True).get(None, "units", *WINDOW)).status == 200
    assert (await saved(4).get(None, "units", *WINDOW)).status == 401

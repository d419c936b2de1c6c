"""The images of server and feeder: the packaged program at the Dockerfile's places in an empty root, as its user."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # of another package's needs, without types
from plugin_facts import libraries_name, platform_name, program_name

from ceems_grpc.cli.options.parse import parse
from ceems_grpc.cli.server import server_settings
from tests.package.bare.dockerfile import Stage, read_dockerfile
from tests.package.bare.root import BareRoot, new_root, open_to_all
from tests.support.bridge_servers import Files, serving
from tests.support.bridged_host import bridged_source, check_bridged_answers
from tests.support.finished import finished
from tests.support.go_host import PluginHost
from tests.support.places import ROOT, SYNTHETIC
from tests.support.ports import free_port
from tests.support.postgres.servers import PASSWORD, Server, empty_database, server

__all__ = ["empty_database", "server"]
IMAGE = ROOT / "deploy" / "image"
USER = 65532
STAGES = read_dockerfile(IMAGE / "Dockerfile", TARGETARCH="amd64")
COMPOSE = yaml.safe_load((IMAGE / "compose.yaml").read_text())


def _stages() -> dict[str, Stage]:
    return read_dockerfile(IMAGE / "Dockerfile", TARGETARCH=platform_name().partition("_")[2])


@pytest.fixture
def image(plugin_folder: Path, tmp_path: Path) -> BareRoot:
    """The root of both images, with a database where compose mounts it."""
    root = new_root(tmp_path / "root", busybox=False)
    root.has_devices = True  # every container has them
    root.user = USER
    data = tmp_path / "data"
    data.mkdir()
    shutil.copyfile(SYNTHETIC, data / "ceems.db")
    for folder in (plugin_folder, data):
        open_to_all(folder)
    name = program_name()
    built = {
        f"{name}/{name}": plugin_folder / name,
        f"{name}/{libraries_name(name)}": plugin_folder / libraries_name(name),
    }
    root.seen = {inside: built[source] for inside, source in _stages()["program"].copied.items()}
    root.seen["/var/lib/ceems"] = data
    return root


def _secrets(folder: Path) -> Path:
    """Give a folder's files to the image's user."""
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, USER, USER)
    return folder


def _check_health(image: BareRoot, stage: Stage, address: str) -> None:
    *command, default = stage.healthcheck
    assert default.endswith((":9443", ":9105"))
    assert image.run(*command, address) == ""
    nothing = finished(image.command(*command, f"127.0.0.1:{free_port()}"), env={})
    assert nothing.returncode == 1


def test_the_image_holds_the_program_and_runs_as_an_ordinary_user() -> None:
    assert STAGES["program"].base == "scratch"
    assert STAGES["program"].copied == {
        "/opt/ceems/ceems-grpc": "gpx_ceems_linux_amd64/gpx_ceems_linux_amd64",
        "/opt/ceems/ceems-grpc_libs": "gpx_ceems_linux_amd64/gpx_ceems_linux_amd64_libs",
    }
    for name in ("server", "feed"):
        assert STAGES[name].base == "program"
        assert STAGES[name].user == f"{USER}:{USER}"
        assert STAGES[name].entrypoint[:2] == ["/opt/ceems/ceems-grpc", name]
        assert STAGES[name].healthcheck[:3] == ["/opt/ceems/ceems-grpc", "probe", name]


def test_compose_starts_both_with_options_that_they_have() -> None:
    services = COMPOSE["services"]
    settings = server_settings(parse("", [*STAGES["server"].entrypoint[1:], *services["server"]["command"]]))
    settings.check()
    assert settings.listen.port == 9443
    options = parse("", [*STAGES["feed"].entrypoint[1:], *services["feed"]["command"]])
    assert (options.database, options.metrics, options.wait) == ("/var/lib/ceems/ceems.db", "0.0.0.0:9105", True)
    assert options.to == "postgresql://{POSTGRES_USER}@postgres:5432/{POSTGRES_DB}".format(
        **services["postgres"]["environment"]
    )
    for name in ("server", "feed"):
        service = services[name]
        assert service["user"] == STAGES[name].user
        assert service["read_only"]
        context = (IMAGE / service["build"]["context"]).resolve()
        assert context == ROOT / "build" / "program"
        assert (context / service["build"]["dockerfile"]).resolve() == IMAGE / "Dockerfile"
        assert service["build"]["target"] == name
        for option in service["command"]:
            if "/run/secrets/" in option:
                assert option.rpartition("/")[2] in service["secrets"]
        assert set(service["secrets"]) <= set(COMPOSE["secrets"])


@pytest.mark.go
async def test_the_server_answers_grafana(image: BareRoot, plugin_folder: Path, tmp_path: Path) -> None:
    stage = _stages()["server"]
    folder = tmp_path / "secrets"
    folder.mkdir()
    files = Files(folder)
    image.seen["/run/secrets"] = _secrets(folder)
    own = [option.replace(str(folder), "/run/secrets") for option in (*files.tls, *files.tokens)]
    arguments = ("--database", "/var/lib/ceems/ceems.db", *own)

    def check() -> None:
        if os.geteuid() == 0:
            assert f"Uid:\t{USER}\t{USER}" in Path("/proc", str(remote.process.pid), "status").read_text()
        _check_health(image, stage, f"127.0.0.1:{remote.port}")
        with PluginHost([plugin_folder / program_name()], cwd=plugin_folder) as host:
            check_bridged_answers(host, bridged_source(files, remote))

    async with serving(*arguments, command=image.command(*stage.entrypoint)) as remote:
        await asyncio.to_thread(check)


@pytest.mark.postgres
def test_the_feeder_fills_postgresql(image: BareRoot, server: Server, empty_database: str, tmp_path: Path) -> None:
    stage = _stages()["feed"]
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)
    image.seen["/run/secrets"] = _secrets(folder)
    address = f"127.0.0.1:{free_port()}"
    options = [
        *("--database", "/var/lib/ceems/ceems.db", "--to", server.url(empty_database), "--site", "main", "--wait"),
        *("--password-file", "/run/secrets/password", "--metrics", address),
    ]
    with subprocess.Popen(image.command(*stage.entrypoint, *options), stderr=subprocess.PIPE, env={}) as running:
        assert running.stderr is not None
        try:
            while b"PostgreSQL is up to date" not in (line := running.stderr.readline()):
                assert line, "the feeder ended"
            _check_health(image, stage, address)
        finally:
            running.terminate()
            running.stderr.read()
    assert running.returncode == 0
    assert server.rows("SELECT count(*) FROM ceems.units", database=empty_database) == [(600,)]

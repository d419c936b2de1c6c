"""Grafana, Docker, systemd and the plugin understand the files in deploy/ as docs/deploy.md says."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]  # of another package's needs, without types

from ceems_grpc.cli.options.parse import parse
from ceems_grpc.cli.server import server_settings
from ceems_grpc.settings import PluginSettings, Settings, SettingsError, data_source
from ceems_grpc.store.sources import BridgeSource, FileSource, PostgresSource, Source
from tests.support.finished import finished
from tests.support.places import ROOT

DEPLOY = ROOT / "deploy"
PLUGIN = json.loads((ROOT / "plugin.json").read_text())
PLUGIN_FOLDER = f"/var/lib/grafana/plugins/{PLUGIN['id']}"
PAGES = ("deploy.md", "deploy-bridge.md", "deploy-postgres.md", "scale.md", "install.md", "deploy-containers.md")
DOCS = "".join((ROOT / "docs" / name).read_text() for name in PAGES)


def _yaml(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def _ini() -> ConfigParser:
    ini = ConfigParser(comment_prefixes=(";", "#"))
    ini.read_string((DEPLOY / "grafana.ini").read_text())
    return ini


def _data_source() -> dict[str, Any]:
    content = _yaml("provisioning/datasources/ceems.yaml")
    assert content["apiVersion"] == 1
    (source,) = content["datasources"]
    return dict(source)


def test_the_data_source_is_one_that_the_plugin_accepts() -> None:
    source = _data_source()
    assert source["type"] == PLUGIN["id"]
    known = {field.encode_name for field in msgspec.structs.fields(data_source._JsonData)}
    assert set(source["jsonData"]) <= known
    accepted = Settings.from_json(json.dumps(source["jsonData"]).encode())
    defaults = Settings.from_json(json.dumps({"path": source["jsonData"]["path"]}).encode())
    assert accepted == defaults
    assert accepted.sources == (FileSource("", Path("/var/lib/ceems/ceems.db"), None),)


def test_grafana_ini_lets_the_data_source_read_its_file_and_no_other() -> None:
    ini = _ini()
    assert ini["plugins"]["allow_loading_unsigned_plugins"] == PLUGIN["id"]
    # Grafana passes the section's lines to the plugin as environment variables.
    environment = {f"GF_PLUGIN_{key.upper()}": value for key, value in ini[f"plugin.{PLUGIN['id']}"].items()}
    allowed = PluginSettings.from_environment(environment)
    allowed.check(Path(_data_source()["jsonData"]["path"]))
    with pytest.raises(SettingsError, match="allowed_paths"):
        allowed.check(Path("/var/lib/grafana/grafana.db"))


def test_dashboards_come_from_the_folder_of_the_plugin() -> None:
    content = _yaml("provisioning/dashboards/ceems.yaml")
    (provider,) = content["providers"]
    assert (content["apiVersion"], provider["type"]) == (1, "file")
    assert provider["options"]["path"] == f"{PLUGIN_FOLDER}/dashboards"


def _mounts(service: dict[str, Any]) -> dict[str, str]:
    """Return the mounts by the path in the container."""
    parts = [volume.split(":") for volume in service["volumes"]]
    return {inside: source for source, inside, *_ in parts}


def test_compose_mounts_what_is_there_where_grafana_looks_for_it() -> None:
    compose = _yaml("compose.yaml")
    grafana = _mounts(compose["services"]["grafana"])
    assert (DEPLOY / grafana[PLUGIN_FOLDER]).resolve() == ROOT / "dist"
    for inside, name in (
        ("/etc/grafana/grafana.ini", "grafana.ini"),
        ("/etc/grafana/provisioning/datasources/ceems.yaml", "provisioning/datasources/ceems.yaml"),
        ("/etc/grafana/provisioning/dashboards/ceems.yaml", "provisioning/dashboards/ceems.yaml"),
    ):
        assert (DEPLOY / grafana[inside]).resolve(strict=True) == DEPLOY / name
    database = Path(_data_source()["jsonData"]["path"])
    writer = compose["services"]["demo-database"]
    assert _mounts(writer)[str(database.parent)] == grafana[str(database.parent)]
    assert set(compose["volumes"]) == {grafana[str(database.parent)]}
    assert (DEPLOY / _mounts(writer)["/plugin"]).resolve() == ROOT / "dist"


def test_compose_starts_grafana_once_the_database_is_there_and_for_this_machine_alone() -> None:
    compose = _yaml("compose.yaml")
    writer, grafana = compose["services"]["demo-database"], compose["services"]["grafana"]
    assert grafana["depends_on"] == {"demo-database": {"condition": "service_completed_successfully"}}
    assert all(port.startswith("127.0.0.1:") for port in grafana["ports"])
    # The default image is Alpine, which has no glibc: the program brings its own.
    assert {writer["image"], grafana["image"]} == {"grafana/grafana:${GRAFANA_VERSION:-13.1.0}"}
    assert not any("ANONYMOUS" in name for name in grafana["environment"])


def test_compose_writes_the_database_with_a_command_that_the_program_has(tmp_path: Path) -> None:
    (script,) = _yaml("compose.yaml")["services"]["demo-database"]["command"]
    program = f"/plugin/{PLUGIN['executable']}_${{CEEMS_PLATFORM:-linux_amd64}}"
    assert program in script
    database = tmp_path / "ceems.db"
    here = (
        script.replace(program, f"'{sys.executable}' -m ceems_grpc")
        .replace("/var/lib/ceems/ceems.db", f"'{database}'")
        .replace("--units 20000", "--units 200")
        .replace("chown -R 472:0 /var/lib/ceems", f"chown -R {os.getuid()}:{os.getgid()} '{tmp_path}'")
    )
    assert "/var/lib" not in here
    for _ in range(2):  # a second start must replace the database
        assert finished(["/bin/sh", "-euc", here], cwd=ROOT).returncode == 0
    assert database.read_bytes().startswith(b"SQLite format 3\0")


def test_systemd_knows_every_line_of_the_drop_ins(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("the drop-ins were not checked: systemd-analyze is not installed")
    (tmp_path / "grafana-server.service").write_text("[Service]\nExecStart=/bin/true\n")
    (tmp_path / "ceems_api_server.service").write_text("[Service]\nUser=ceems\nGroup=ceems\nExecStart=/bin/true\n")
    shutil.copytree(DEPLOY / "systemd", tmp_path, dirs_exist_ok=True)
    for unit in tmp_path.glob("ceems-grpc-*.service"):
        unit.write_text(unit.read_text().replace("/usr/local/bin/ceems-grpc", "/bin/true"))
    units = sorted(path for path in tmp_path.glob("*.service"))
    checked = finished([analyze, "verify", "--man=no", *units], cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "")
    assert "systemd" not in checked.stderr
    assert str(tmp_path) not in checked.stderr, checked.stderr


def test_the_servers_unit_starts_it_with_options_that_it_has() -> None:
    unit = (DEPLOY / "systemd" / "ceems-grpc-server.service").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=/usr/local/bin/ceems-grpc (.*)$", unit, re.MULTILINE)
    settings = server_settings(parse("", line.split()))
    settings.check()
    assert settings.listen.port == 9443
    assert "Type=notify" in unit


def test_the_feeders_unit_starts_it_with_options_that_it_has() -> None:
    unit = (DEPLOY / "systemd" / "ceems-grpc-feed.service").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=/usr/local/bin/ceems-grpc (.*)$", unit, re.MULTILINE)
    options = parse("", line.split())
    assert (options.command, options.database, options.wait) == ("feed", "/var/lib/ceems/ceems.db", True)
    assert options.to.startswith("postgresql://ceems_feeder@db.example.org:5432/ceems")


@pytest.mark.parametrize(("name", "kind"), [("ceems-bridge", BridgeSource), ("ceems-postgres", PostgresSource)])
def test_the_other_data_sources_are_ones_that_the_plugin_accepts(name: str, kind: type[Source]) -> None:
    content = _yaml(f"provisioning/datasources/{name}.yaml")
    (source,) = content["datasources"]
    same = ("name", "uid", "type", "access", "isDefault", "editable")  # dashboards and alert rules fit all of them
    assert [source[key] for key in same] == [_data_source()[key] for key in same]
    accepted = Settings.from_json(json.dumps(source["jsonData"]).encode(), secure=source["secureJsonData"])
    (found,) = accepted.sources
    assert isinstance(found, kind)
    address = {key: value for key, value in source["jsonData"].items() if key in {"address", "postgres"}}
    defaults = Settings.from_json(json.dumps(address).encode(), secure=source["secureJsonData"])
    assert accepted == defaults


def test_every_file_is_explained_in_the_docs_and_every_named_file_is_there() -> None:
    files = {path.relative_to(ROOT).as_posix() for path in DEPLOY.rglob("*") if path.is_file()}
    named = set(re.findall(r"\bdeploy/[\w./-]+(?:\.(?:yaml|conf|ini|service|sql)|/Dockerfile)\b", DOCS))
    assert named == files

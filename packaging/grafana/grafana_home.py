"""Finds the Grafana on this machine, and writes a configuration for it that runs the plugin from one folder."""

import json
import shutil
from collections.abc import Mapping
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path

from plugin_facts import read_plugin_json

HOW_TO_GET_GRAFANA = """\
There is no Grafana on this machine that make grafana could run. Choose one of these:
  - Download Grafana 11.6 or newer from https://grafana.com/grafana/download (the standalone archive), unpack it, then:
      GRAFANA_HOME=/path/to/grafana-folder make grafana
  - Install its package, so that `grafana` is in PATH, and run make grafana again.
  - With Docker: docker compose -f deploy/compose.yaml up
"""
_PROGRAMS = ("grafana", "grafana-server")
# Grafana's home folder, if a package installed the program in /usr/sbin or in Homebrew's bin folder.
_USUAL_HOMES = ("/usr/share/grafana", "/usr/local/share/grafana", "/opt/homebrew/share/grafana")
_DEFAULTS = Path("conf", "defaults.ini")


class GrafanaError(Exception):
    """Grafana cannot be run; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Grafana:
    """A Grafana: its program, and its home folder, which contains conf/ and public/."""

    program: Path
    home: Path

    def command(self, config: Path) -> list[str]:
        """Return the command that runs the server."""
        server = ["server"] if self.program.name == "grafana" else []
        return [str(self.program), *server, f"--homepath={self.home}", f"--config={config}"]


def find_grafana(environment: Mapping[str, str]) -> Grafana:
    """Return the Grafana in GRAFANA_HOME, otherwise the one in PATH. Raises `GrafanaError` if there is none."""
    if home := environment.get("GRAFANA_HOME"):
        return _in_home(Path(home).expanduser().absolute())
    for name in _PROGRAMS:
        found = shutil.which(name, path=environment.get("PATH", ""))
        if found is None:
            continue
        program = Path(found).resolve()
        for candidate in (program.parents[1], *map(Path, _USUAL_HOMES)):
            if (candidate / _DEFAULTS).is_file():
                return Grafana(program, candidate)
        raise GrafanaError(
            f"{found} is a Grafana, but the folder with its {_DEFAULTS} was not found: set GRAFANA_HOME to it."
        )
    raise GrafanaError(HOW_TO_GET_GRAFANA)


def _in_home(home: Path) -> Grafana:
    if not (home / _DEFAULTS).is_file():
        raise GrafanaError(
            f"GRAFANA_HOME is {home}, which has no {_DEFAULTS}: set it to the folder of an unpacked Grafana."
        )
    for name in _PROGRAMS:
        for program in (home / "bin" / name, Path("/usr/sbin") / name):
            if program.is_file():
                return Grafana(program, home)
    raise GrafanaError(
        f"GRAFANA_HOME is {home}, which has no bin/grafana: set it to the folder of an unpacked Grafana."
    )


def configure(folder: Path, *, plugin: Path, database: Path, port: int, user: str, password: str) -> Path:
    """Write into ``folder`` everything that Grafana needs to run this plugin alone; return the path of grafana.ini.

    ``plugin`` is the plugin's folder, to which a link is made; ``database`` is the file for the data source. Grafana
    listens on 127.0.0.1, asks for a password, and contacts no other host.
    """
    plugin_id = read_plugin_json(plugin)["id"]
    for name in ("data", "logs", "plugins", "provisioning/datasources", "provisioning/dashboards"):
        (folder / name).mkdir(parents=True)
    (folder / "plugins" / plugin_id).symlink_to(plugin.resolve(), target_is_directory=True)
    _write_yaml(folder / "provisioning/datasources/ceems.yaml", _data_source(plugin_id, database))
    _write_yaml(folder / "provisioning/dashboards/ceems.yaml", _dashboards(plugin.resolve() / "dashboards"))
    ini = RawConfigParser()
    ini.read_dict(
        {
            "paths": {name: str(folder / name) for name in ("data", "logs", "plugins", "provisioning")},
            "server": {"http_addr": "127.0.0.1", "http_port": port},
            "security": {"admin_user": user, "admin_password": password},
            "auth.anonymous": {"enabled": "false"},
            "users": {"allow_sign_up": "false"},
            "analytics": {
                "reporting_enabled": "false",
                "check_for_updates": "false",
                "check_for_plugin_updates": "false",
            },
            "news": {"news_feed_enabled": "false"},
            "plugins": {
                "allow_loading_unsigned_plugins": plugin_id,
                "preinstall_disabled": "true",
                "public_key_retrieval_disabled": "true",
            },
            f"plugin.{plugin_id}": {"allowed_paths": str(database.parent)},
            "log": {"mode": "console file"},
            "log.console": {"level": "warn"},
        }
    )
    config = folder / "grafana.ini"
    with config.open("w", encoding="utf-8") as file:
        ini.write(file)
    config.chmod(0o600)
    return config


def _data_source(plugin_id: str, database: Path) -> dict[str, object]:
    source = {
        "name": "CEEMS",
        "uid": "ceems",
        "type": plugin_id,
        "access": "proxy",
        "isDefault": True,
        "editable": True,
        "jsonData": {"path": str(database)},
    }
    return {"apiVersion": 1, "datasources": [source]}


def _dashboards(folder: Path) -> dict[str, object]:
    provider = {
        "name": "CEEMS",
        "type": "file",
        "folder": "CEEMS",
        "allowUiUpdates": True,
        "options": {"path": str(folder)},
    }
    return {"apiVersion": 1, "providers": [provider]}


def _write_yaml(path: Path, content: dict[str, object]) -> None:
    # Grafana expands $NAME in provisioning files from the environment; $$ is a literal dollar sign.
    path.write_text(json.dumps(content, indent=2).replace("$", "$$") + "\n", "utf-8")  # JSON is YAML

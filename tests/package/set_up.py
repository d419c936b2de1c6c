"""Runs the commands of documentation pages as written, on stand-ins for the hosts that the pages describe.

These differ from the pages, since a test may not change this host:

- Folders below /etc, /opt, /usr/local/bin and /var/lib are in a temporary folder, which all hosts of a page share.
- Host names of the pages are this host, and ports are free ones; the tests' PostgreSQL has no TLS. See `Host`.
- `sudo` runs the command as the test's user, and groups are the test's group. `ssh` runs the command here.
- `systemctl` is tests/package/systemctl.py, which runs the command of the installed unit.
- The zip holds a program that runs these sources, since the real one takes minutes to build.

Everything else is real: openssl, psql, unzip, install, the program, the plugin's process, PostgreSQL.
"""

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from configparser import ConfigParser
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # of another package's needs, without types
from plugin.plugin_zip import write_zip

from ceems_grpc.version import VERSION
from tests.package.plugin_folders import write_frontend, write_program
from tests.support.finished import finished
from tests.support.places import ROOT, SYNTHETIC
from tests.support.plugin.ceems import CeemsPlugin
from tests.support.plugin.process import running

ID = "ceems-ceems-datasource"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PLACES = r"(?<![\w.>/-])/(etc|opt|usr/local/bin|var/lib)(?=[/\s]|$)"
_ABSOLUTE = re.compile(r"(?<![\w.:/~-])/[a-z][\w./-]*")
_SUDO = '#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift 2; done\nexec "$@"\n'
_SSH = '#!/bin/sh\nshift\ncd\nexec sh -c "$*"\n'
_PATIENCE = 30.0


def blocks(page: str, language: str = "sh") -> list[str]:
    """Return the code blocks of a page in docs/ in one language, in their order."""
    found = _FENCE.findall((ROOT / "docs" / page).read_text())
    return [text for kind, text in found if kind == language]


class Host:
    """A folder that stands for the hosts of a page.

    ``replaced``: patterns of names in commands, units and settings, with their replacements here. ``environment``: of
    the commands, for example where PostgreSQL is.
    """

    def __init__(self, folder: Path, replaced: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._processes = folder / "run"
        self._replaced = {**replaced, _PLACES: f"{folder}/\\1", r"-g (ceems|grafana)\b": f"-g {os.getegid()}"}
        bin_folder = folder / "bin"
        # What these hosts have before the commands of a page.
        for name in (
            "bin",
            "run",
            "home",
            "work/build",
            "opt",
            "usr/local/bin",
            "etc/grafana",
            "var/lib/grafana/plugins",
        ):
            (folder / name).mkdir(parents=True)
        for name in ("etc/systemd/system", "var/lib/ceems"):
            (folder / name).mkdir(parents=True)
        shutil.copy(SYNTHETIC, folder / "var/lib/ceems/ceems.db")
        (folder / "work/deploy").symlink_to(ROOT / "deploy")
        self._write_zip(folder / "work/build")
        _write(bin_folder / "sudo", _SUDO)
        _write(bin_folder / "ssh", _SSH)
        _write(
            bin_folder / "systemctl",
            f"#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name('systemctl.py')} $@\n",
        )
        facts = {
            "units": str(folder / "etc/systemd/system"),
            "processes": str(self._processes),
            "restarted": str(folder / "restarted"),
            "replaced": self._replaced,
        }
        (folder / "stand_in.json").write_text(json.dumps(facts))
        self._environment = {
            "PATH": f"{bin_folder}:{folder}/usr/local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(folder / "home"),
            "STAND_IN": str(folder / "stand_in.json"),
            **environment,
        }

    def localized(self, text: str) -> str:
        """Return a text of a page with the names of the stand-in."""
        for name, local in self._replaced.items():
            text = re.sub(name, local, text)
        return text

    def run(self, block: str, **environment: str) -> str:
        """Run a block of a page in the folder of the repository, and return its output."""
        command = self.localized(block)
        outside = [path for path in _ABSOLUTE.findall(command) if not path.startswith((str(self.folder), "/dev/"))]
        assert outside == [], "the commands name places of the real host"
        done = finished(
            ["/bin/bash", "-eu", "-o", "pipefail", "-c", command],
            cwd=self.folder / "work",
            env={**self._environment, **environment},
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def restarted(self) -> list[str]:
        """Return the services of other projects that were restarted, in order."""
        return (self.folder / "restarted").read_text().split()

    def logs(self) -> str:
        """Return the output of the services."""
        return "".join(path.read_text() for path in self._processes.glob("*.log"))

    def secret(self, path: str) -> str:
        """Return the text of a file; check that only its owner and group may read it."""
        file = self.folder / path
        assert file.stat().st_mode & 0o777 == 0o640
        return file.read_text().strip()

    @asynccontextmanager
    async def grafana(self) -> AsyncIterator[CeemsPlugin]:
        """Start the installed plugin with the installed settings, as Grafana would."""
        ini = ConfigParser(comment_prefixes=(";", "#"))
        ini.read_string((self.folder / "etc/grafana/grafana.ini").read_text())
        assert ini["plugins"]["allow_loading_unsigned_plugins"] == ID
        options = {f"GF_PLUGIN_{key.upper()}": self.localized(text) for key, text in ini[f"plugin.{ID}"].items()}
        (file,) = (self.folder / "etc/grafana/provisioning/datasources").iterdir()
        (source,) = yaml.safe_load(file.read_text())["datasources"]
        assert source["type"] == ID
        assert (self.folder / "etc/grafana/provisioning/dashboards/ceems.yaml").is_file()
        settings = json.loads(self.localized(json.dumps(source["jsonData"])))
        secrets = {name: self._expanded(text) for name, text in source.get("secureJsonData", {}).items()}
        program = self.folder / f"var/lib/grafana/plugins/{ID}/gpx_ceems_linux_amd64"
        async with running((str(program), "serve"), {**options, "HOME": str(self.folder)}) as plugin:
            yield CeemsPlugin(plugin, settings, secrets)

    def stop(self) -> None:
        """End the services that were started."""
        for file in self._processes.glob("*.pid"):
            process = int(file.read_text())
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
            until = time.monotonic() + _PATIENCE
            while _lives(process) and time.monotonic() < until:
                time.sleep(0.02)
            assert not _lives(process), self.logs()

    def _expanded(self, text: str) -> str:
        """Return what Grafana makes of `$__file{path}`."""
        match = re.fullmatch(r"\$__file\{(.*)\}", text)
        assert match is not None
        return Path(self.localized(match[1])).read_text().strip()

    def _write_zip(self, target: Path) -> None:
        plugin = self.folder / "plugin"
        plugin.mkdir()
        script = f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m ceems_grpc "$@"\n'
        write_frontend(plugin)
        write_program(plugin, "gpx_ceems_linux_amd64", script)
        write_zip(plugin, target / f"{ID}-{VERSION}.zip", top=ID, when=datetime(2026, 1, 1, tzinfo=UTC))


@contextmanager
def hosting(
    folder: Path, replaced: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Host]:
    """Make a stand-in; its services are stopped at the end."""
    host = Host(folder, replaced or {}, environment or {})
    try:
        yield host
    finally:
        host.stop()


def _lives(process: int) -> bool:
    """Return whether a process still runs; a zombie does not."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _write(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(0o755)

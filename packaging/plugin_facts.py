"""What the packaging scripts share: folders, file names, the platform and the date of the package."""

import json
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
DIST = ROOT / "dist"
FRONTEND = BUILD / "frontend"
PROGRAMS = BUILD / "program"
BUNDLED_PROGRAM = "ceems-grpc"  # on Linux, among the libraries; launcher.c has the name too

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SYSTEMS = ("linux", "darwin")


def read_plugin_json(folder: Path = ROOT) -> dict[str, Any]:
    """Return the plugin.json of a folder, by default the source, whose version and date are placeholders."""
    content: dict[str, Any] = json.loads((folder / "plugin.json").read_text("utf-8"))
    return content


def platform_name(system: str | None = None, machine: str | None = None) -> str:
    """Return Go's name of a platform, such as ``linux_amd64``; without arguments, that of this machine.

    Raises `SystemExit` with a sentence for an unsupported platform.
    """
    system = (system or platform.system()).lower()
    machine = (machine or platform.machine()).lower()
    architecture = _ARCHITECTURES.get(machine)
    if system not in _SYSTEMS or architecture is None:
        raise SystemExit(
            f"The plugin cannot be packaged on {system}/{machine}: use Linux or macOS on an x86-64 or ARM64 processor."
        )
    return f"{system}_{architecture}"


def program_name() -> str:
    """Return the file name that Grafana looks for on this platform, such as ``gpx_ceems_linux_amd64``."""
    return f"{read_plugin_json()['executable']}_{platform_name()}"


def libraries_name(program: str) -> str:
    """Return the name of the folder with a program's libraries, which is beside the program."""
    return f"{program}_libs"


def package_date() -> datetime:
    """Return the date of the package, in UTC. The same source always has the same date.

    It is SOURCE_DATE_EPOCH (seconds since 1970) if that is set, otherwise the time of the last commit, otherwise now.
    """
    seconds = os.environ.get("SOURCE_DATE_EPOCH") or _commit_time()
    return datetime.fromtimestamp(int(seconds), UTC) if seconds else datetime.now(UTC)


def _commit_time() -> str:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return ""
    command = [git, "-C", str(ROOT), "log", "-1", "--format=%ct"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    return answer.stdout.strip() if answer.returncode == 0 else ""

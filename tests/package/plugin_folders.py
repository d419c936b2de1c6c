"""Small plugin folders that Grafana could load, for tests of code that examines such folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PLUGIN: dict[str, Any] = {
    "type": "datasource",
    "id": "ceems-ceems-datasource",
    "name": "CEEMS",
    "backend": True,
    "executable": "gpx_ceems",
    "info": {
        "description": "Answers queries",
        "author": {"name": "Authors", "url": "https://example.org/"},
        "links": [{"name": "Home", "url": "https://example.org/ceems"}],
        "keywords": ["ceems"],
        "logos": {"small": "img/logo.svg", "large": "img/logo.svg"},
        "screenshots": [{"name": "Units", "path": "img/units.png"}],
        "version": "1.2.3",
        "updated": "2026-11-23",
    },
    "includes": [{"type": "dashboard", "name": "One", "path": "dashboards/one.json"}],
    "dependencies": {"grafanaDependency": ">=11.6.0"},
}


def write_plugin(folder: Path, program: str = "gpx_ceems_linux_amd64") -> Path:
    """Fill a folder like dist/; return it."""
    write_frontend(folder)
    write_program(folder, program)
    return folder


def write_frontend(folder: Path) -> None:
    """Write the results of the frontend's build, and the texts that `make dist` adds."""
    for name in ("img/logo.svg", "README.md", "LICENSE"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    (folder / "img" / "units.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 - 2026-11-23\n\n### Added\n\n- All of it.\n")
    (folder / "module.js").write_text('define(["react"], function () {});\n')
    (folder / "plugin.json").write_text(json.dumps(PLUGIN))
    (folder / "dashboards").mkdir()
    (folder / "dashboards" / "one.json").write_text('{"title": "One"}')


def write_program(folder: Path, program: str, script: str = "#!/bin/sh\nexit 0\n") -> None:
    """Write an executable program, and a library next to it."""
    libraries = folder / f"{program}_libs"
    libraries.mkdir(parents=True)
    (libraries / "libc++.so.1").write_text("library\n")
    (libraries / "LICENSES.txt").write_text("licences\n")
    (folder / program).write_text(script)
    (folder / program).chmod(0o755)

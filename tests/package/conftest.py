"""Makes the packaging scripts importable, and provides the package that `make package` built."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import ROOT

# Its folders are packages, but packaging/ itself is not: a library has that name.
sys.path.insert(0, str(ROOT / "packaging"))


@pytest.fixture(scope="session")
def package() -> Path:
    """The zip in CEEMS_PACKAGE, otherwise the one in build/ if it is newer than its sources."""
    from ceems_grpc.version import VERSION

    if named := os.environ.get("CEEMS_PACKAGE"):
        return Path(named).resolve(strict=True)
    path = ROOT / "build" / f"ceems-ceems-datasource-{VERSION}.zip"
    if not path.is_file():
        pytest.skip(f"the package was not tried: there is no {path.name} in build/ (make package makes it)")
    if path.stat().st_mtime < max(source.stat().st_mtime for source in _sources()):
        pytest.skip(f"the package was not tried: {path.name} is older than its sources (make package renews it)")
    return path


@pytest.fixture(scope="session")
def plugin_folder(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, unpacked as by Grafana's installer: files get the permissions that the zip states."""
    target = tmp_path_factory.mktemp("plugins")
    with zipfile.ZipFile(package) as archive:
        archive.extractall(target)
        for entry in archive.infolist():
            (target / entry.filename).chmod(entry.external_attr >> 16 & 0o777)
    return target / "ceems-ceems-datasource"


def _sources() -> Iterator[Path]:
    yield from (path for path in (ROOT / "ceems_grpc").rglob("*.py") if "pb" not in path.parts)
    yield from (path for path in (ROOT / "packaging").rglob("*") if path.is_file() and path.suffix != ".pyc")
    yield ROOT / "plugin.json"

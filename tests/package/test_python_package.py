"""The sdist and the wheel, installed into a fresh virtual environment: the command runs, and types are available."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path

import msgspec
import pytest
from release.python_package import build_python_package

from ceems_grpc.version import VERSION
from tests.support.finished import finished
from tests.support.places import ROOT, SYNTHETIC


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_python_package(tmp_path_factory.mktemp("python"))


@pytest.fixture(scope="module")
def environment(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel.

    A line in a .pth file adds the libraries of the tests' environment, so that tests need no network.
    Such a line does not process the .pth files of that environment, so its own installation of these sources stays
    hidden.
    """
    folder = tmp_path_factory.mktemp("environment")
    assert finished([sys.executable, "-m", "venv", "--without-pip", folder]).returncode == 0
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text(f"{Path(msgspec.__file__).parents[1]}\n")
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    done = finished([*pip, "--quiet", "--no-index", "--no-deps", "--ignore-installed", built[1]])
    assert done.returncode == 0, done.stderr
    return folder


def test_both_have_the_compiled_protocol_and_the_types(built: tuple[Path, Path]) -> None:
    sdist, wheel = built
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    files = [path for path in (ROOT / "ceems_grpc").rglob("*") if path.suffix in {".py", ".pyi"}]
    modules = {path.relative_to(ROOT).as_posix() for path in files}
    assert {"ceems_grpc/pb/store_pb2.py", "ceems_grpc/pb/store_pb2.pyi", "ceems_grpc/py.typed"} <= in_wheel
    assert modules <= in_sdist
    assert modules <= in_wheel
    assert not [name for name in in_wheel if name.startswith(("tests", "packaging", "bench"))]


def test_its_page_has_no_link_that_leads_nowhere(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    targets = re.findall(r"\]\(([^)\n]+)\)", text)
    assert "https://github.com/ceems-dev/ceems" in targets
    assert [target for target in targets if "://" not in target] == []


def test_the_command_runs(environment: Path, tmp_path: Path) -> None:
    command = environment / "bin" / "ceems-grpc"
    version = finished([command, "--version"], cwd=tmp_path, env={})
    assert version.returncode == 0, version.stderr
    assert VERSION in version.stdout
    checked = finished([command, "check", SYNTHETIC], cwd=tmp_path, env={})
    assert "the plugin can answer from this database" in checked.stdout, checked.stderr


def test_it_is_the_installed_package_that_runs(environment: Path, tmp_path: Path) -> None:
    code = "import ceems_grpc, importlib.metadata as m; print(ceems_grpc.__file__, m.version('ceems-grpc'))"
    done = finished([environment / "bin" / "python", "-c", code], cwd=tmp_path, env={})
    place, version = done.stdout.split()
    assert Path(place).is_relative_to(environment)
    assert version == VERSION


def test_authors_of_data_sources_get_types(environment: Path, tmp_path: Path) -> None:
    """mypy checks code against the grafana layer in the environment, as for authors of other data sources."""
    source = tmp_path / "mine.py"
    source.write_text("from ceems_grpc.grafana.data.frame import Frame\nwrong: int = Frame\n")
    found = finished(
        [sys.executable, "-m", "mypy", "--python-executable", environment / "bin" / "python", "--config-file=", source],
        cwd=tmp_path,
    )
    assert 'expression has type "type[Frame]", variable has type "int"' in found.stdout

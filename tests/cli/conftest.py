import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import ceems_grpc


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo database, written by the command itself; for reading only."""
    path = tmp_path_factory.mktemp("cli") / "ceems.db"
    done = ceems_grpc("demo-db", path, "--units", "800", "--days", "40", "--users", "12")
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="ceems-grpc-test-"))
    path.chmod(0o755)
    yield path
    for folder in (one for one in path.rglob("*") if one.is_dir()):
        folder.chmod(0o755)
    shutil.rmtree(path)

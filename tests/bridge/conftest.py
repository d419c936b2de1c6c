"""One running plugin for all tests of a module."""

from pathlib import Path

import pytest

from tests.support.bridge_servers import Files
from tests.support.places import SYNTHETIC
from tests.support.plugin.fixtures import plugin

__all__ = ["database", "files", "plugin"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def database() -> Path:
    return SYNTHETIC

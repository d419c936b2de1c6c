"""A root with the plugin in it, and a folder for its socket."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.package.bare.hosted import PLUGINS, writable
from tests.package.bare.root import BareRoot, new_root, open_to_all
from tests.support.places import SYNTHETIC


@pytest.fixture
def bare(plugin_folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> BareRoot:
    """A root with the plugin, a database and, where asked, busybox; nothing else."""
    root = new_root(tmp_path / "root", busybox=getattr(request, "param", True))
    database = tmp_path / "data" / "ceems.db"
    database.parent.mkdir()
    shutil.copyfile(SYNTHETIC, database)
    for folder in (plugin_folder, database.parent):
        open_to_all(folder)
    root.seen = {PLUGINS: plugin_folder, "/data": database.parent}
    return root


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    """A folder for the plugin's socket, as PLUGIN_UNIX_SOCKET_DIR names one."""
    return writable(tmp_path / "sockets")

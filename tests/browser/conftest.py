"""A browser, a plugin process and a demo database, shared by the tests of this folder in one test process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ceems_grpc.demo.database import write_demo_database
from tests.browser.chromium import Chromium, find_chromium, running_chromium
from tests.browser.database import Database
from tests.browser.editors import Editors
from tests.browser.page_build import built_page
from tests.browser.plugin_process import PluginProcess, plugin_process
from tests.browser.small_grafana import SmallGrafana, serving
from tests.browser.tab import new_tab

NOW = datetime(2026, 3, 16, 12, tzinfo=UTC)
DAYS = 20
# These come with Grafana, but not with its libraries.
PICTURES_AND_FONTS = r"^404 .*/public/(fonts|img/icons)/"


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = find_chromium()
    if program is None:
        pytest.skip("the editors were not tried in a browser: no Chromium (apt-get install chromium)")
    with running_chromium(program, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="session")
def page() -> Path:
    return built_page()


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginProcess]:
    with plugin_process(tmp_path_factory.mktemp("plugin") / "plugin.log") as process:
        yield process


@pytest.fixture(scope="session")
def database_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "ceems.db"
    write_demo_database(path, now=NOW, days=DAYS, units=1500, users=20)
    return path


@pytest.fixture(scope="session")
def database(database_file: Path) -> Iterator[Database]:
    """The demo database, for comparison with what the page shows."""
    with closing(sqlite3.connect(f"file:{database_file}?mode=ro", uri=True)) as connection:
        yield Database(database_file, connection)


@pytest.fixture
def editors(page: Path, chromium: Chromium, plugin: PluginProcess, database_file: Path) -> Iterator[Editors]:
    """A new page over the whole demo database; the test fails if the page complains about anything."""
    with (
        serving(SmallGrafana(plugin, page, {"path": str(database_file)})) as grafana,
        new_tab(chromium) as tab,
    ):
        opened = Editors(tab, grafana, (NOW - timedelta(days=DAYS), NOW), [PICTURES_AND_FONTS])
        yield opened
        assert opened.unexpected() == []

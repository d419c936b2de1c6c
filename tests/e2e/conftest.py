"""One Grafana for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.browser.chromium import Chromium, find_chromium, running_chromium
from tests.e2e.real_grafana import RealGrafana, running


@pytest.fixture(scope="session")
def grafana(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGrafana]:
    """Return a running Grafana, in which admin is signed in."""
    with running(tmp_path_factory.mktemp("grafana")) as found:
        print(f"Grafana {found.version}")  # noqa: T201 - which version a run has tried
        yield found


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Return a running browser. It has to be installed."""
    program = find_chromium()
    assert program is not None, "install Chromium (apt-get install chromium)"
    with running_chromium(program, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser

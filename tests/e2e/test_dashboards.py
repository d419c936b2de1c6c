"""Every shipped dashboard opens in a real browser, without an error and with data in each panel."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.browser.chromium import Chromium
from tests.browser.tab import Tab, new_tab
from tests.e2e.real_grafana import RealGrafana
from tests.support.places import ROOT

DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
_PATIENCE = 120.0  # seconds for one dashboard; long, for busy machines
_QUERIES = "performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/api/ds/query')).length"
_FAILED = """[...document.querySelectorAll('[data-testid="data-testid Panel status error"]')]
    .map((mark) => mark.closest('section')?.innerText ?? '?')"""
# The demo's clusters of LSF and OpenStack have no GPUs, and neither have some projects.
_EMPTY = """[...document.querySelectorAll('section')].map((panel) => panel.innerText)
    .filter((text) => /no data/i.test(text) && !/GPU/.test(text.split('\\n')[0]))"""


def panels(board: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the panels that ask, also those in rows."""
    for panel in board:
        yield from panels(panel.get("panels", []))
        if panel.get("targets"):
            yield panel


def unit(database: Path) -> dict[str, str]:
    """Return the variables of a unit that ran and has emissions."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        ((uuid, cluster),) = connection.execute(
            "SELECT uuid, cluster_id FROM units WHERE ended_at_ts > 0 AND avg_gpu_usage LIKE '%global%'"
            " AND total_cpu_emissions_gms LIKE '%total%' ORDER BY ended_at_ts DESC LIMIT 1"
        ).fetchall()
    return {"var-uuid": str(uuid), "var-cluster": str(cluster)}


def wait_for_panels(tab: Tab, count: int) -> None:
    """Wait until as many queries were sent as there are panels, and none is under way."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if tab.evaluate(_QUERIES) >= count and not tab.has("button", "Cancel"):
            return
        time.sleep(0.5)
    raise AssertionError(f"{tab.evaluate(_QUERIES)} of {count} panels have asked: {tab.text()}")


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_shows_data(grafana: RealGrafana, chromium: Chromium, path: Path) -> None:
    board = json.loads(path.read_text("utf-8"))
    variables = unit(grafana.database) if path.stem == "ceems-unit" else {}
    with new_tab(chromium, 1500, 3000) as tab:
        tab.call("Network.setCookie", name="grafana_session", value=grafana.cookie(), url=grafana.url)
        tab.open(f"{grafana.url}/d/{board['uid']}?{urlencode({'orgId': 1, **variables})}&kiosk")
        wait_for_panels(tab, len(list(panels(board["panels"]))))
        time.sleep(1)  # the last panels are drawn
        assert tab.evaluate(_FAILED) == []
        assert tab.evaluate(_EMPTY) == []
        assert [address for address in tab.refused if "/api/ds/" in address] == []

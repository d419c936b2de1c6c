"""Every shipped dashboard opens in a real browser, without an error and with data in its panels."""

import json
import time
from pathlib import Path

import pytest

from tests.browser.chromium import Chromium
from tests.browser.tab import new_tab
from tests.e2e.real_grafana import RealGrafana
from tests.support.places import ROOT

DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
_FAILED = """[...document.querySelectorAll('[data-testid="data-testid Panel status error"]')]
    .map((mark) => mark.closest('section')?.innerText ?? '?')"""
_LOADING = """document.querySelectorAll('[aria-label="Panel loading bar"], [data-testid="Spinner"]').length"""
_PANELS = """document.querySelectorAll('[data-viz-panel-key], [data-panelid]').length"""


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_opens(grafana: RealGrafana, chromium: Chromium, path: Path) -> None:
    board = json.loads(path.read_text("utf-8"))
    with new_tab(chromium) as tab:
        tab.call("Network.setCookie", name="grafana_session", value=grafana.cookie(), url=grafana.url)
        tab.open(f"{grafana.url}/d/{board['uid']}?orgId=1&kiosk")
        tab.until(lambda: tab.evaluate(_PANELS), f"panel of {path.stem}")
        end = time.monotonic() + 30
        quiet = 0
        while quiet < 4 and time.monotonic() < end:
            quiet = 0 if tab.evaluate(_LOADING) else quiet + 1
            time.sleep(0.5)
        assert tab.evaluate(_FAILED) == []
        assert tab.text().count("No data") == 0, tab.text()

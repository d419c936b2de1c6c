"""Whoever opens a public dashboard without an account sees what the settings allow, never an administrator's view."""

import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest

from tests.e2e.real_grafana import RealGrafana, rows


def busiest_user(grafana: RealGrafana) -> str:
    """Return the user with most units who is no administrator."""
    with closing(sqlite3.connect(f"file:{grafana.database}?mode=ro", uri=True)) as connection:
        ((user,),) = connection.execute(
            "SELECT username FROM units WHERE username NOT IN (SELECT name FROM admin_users)"
            " GROUP BY username ORDER BY count(*) DESC LIMIT 1"
        ).fetchall()
    return str(user)


def ask_publicly(grafana: RealGrafana, uid: str) -> dict[str, Any]:
    """Share a dashboard with one panel of units, and ask it without an account; return the panel's result."""
    panel = {
        "id": 1,
        "type": "table",
        "title": "units",
        "gridPos": {"h": 8, "w": 24, "x": 0, "y": 0},
        "datasource": {"uid": uid},
        "targets": [
            {"refId": "A", "datasource": {"uid": uid}, "queryType": "units", "admin": "auto", "fields": ["username"]}
        ],
    }
    time_range = {"from": "now-90d", "to": "now"}
    board = {"uid": f"board-{uid}", "title": f"board {uid}", "panels": [panel], "time": time_range, "schemaVersion": 39}
    saved = grafana.ask("POST", "/api/dashboards/db", {"dashboard": board, "overwrite": True})
    assert saved.status == 200, saved
    shared = grafana.ask("POST", f"/api/dashboards/uid/board-{uid}/public-dashboards", {"isEnabled": True})
    assert shared.status == 200, shared
    token = shared.json["accessToken"]
    now = int(time.time() * 1000)
    body = {
        "intervalMs": 60_000,
        "maxDataPoints": 500,
        "timeRange": {"from": str(now - 90 * 86_400_000), "to": str(now), "timezone": "utc"},
    }
    answer = grafana.ask("POST", f"/api/public/dashboards/{token}/panels/1/query", body, signed_in=False)
    result: dict[str, Any] = answer.json["results"]["A"] if "results" in answer.json else answer.json
    return result


@pytest.mark.parametrize("settings", [{}, {"adminRole": "Admin"}, {"adminRole": "Viewer"}], ids=str)
def test_nobody_is_refused(grafana: RealGrafana, settings: dict[str, str]) -> None:
    uid = grafana.add_data_source("public-" + "-".join(settings.values() or ["none"]).lower(), **settings)
    result = ask_publicly(grafana, uid)
    assert rows(result) == []
    assert result["status"] == 401  # an error, and not an empty panel
    assert "set serviceUser in the data source's settings" in result["error"]


@pytest.mark.parametrize("settings", [{}, {"adminRole": "Admin"}], ids=str)
def test_the_service_user_asks(grafana: RealGrafana, settings: dict[str, str]) -> None:
    user = busiest_user(grafana)
    uid = grafana.add_data_source("public-service-" + str(len(settings)), serviceUser=user, **settings)
    found = rows(ask_publicly(grafana, uid))
    assert {row["username"] for row in found} == {user}

"""The settings of a data source in a real browser, and the result of Save & test."""

from __future__ import annotations

from pathlib import Path

from tests.browser.database import Database
from tests.browser.editors import Editors

REFUSED_HEALTH = r"^400 .*/health$"


def test_a_path_that_is_typed_works(editors: Editors, database: Database) -> None:
    editors.grafana.json_data = {}
    editors.open("config")
    editors.fill("Path", str(database.path))
    editors.tab.until(lambda: editors.model("Settings") == {"path": str(database.path)}, "path in the settings")
    editors.click("button", "Save & test")
    kind, words = editors.alert()
    assert kind == "success", words
    assert str(database.value("SELECT count(DISTINCT cluster_id) FROM units")) in words
    editors.screenshot("config-works")
    assert editors.grafana.json_data == {"path": str(database.path)}


def test_a_path_that_leads_nowhere_is_told_and_can_be_mended(
    editors: Editors, database: Database, tmp_path: Path
) -> None:
    editors.allowed.append(REFUSED_HEALTH)
    missing = tmp_path / "nowhere" / "ceems.db"
    editors.open("config")
    editors.fill("Path", str(missing))
    editors.click("button", "Save & test")
    kind, words = editors.alert()
    assert kind == "error"
    assert words.startswith("There is no database file at the configured path.")
    editors.screenshot("config-wrong-path")

    editors.fill("Path", str(database.path))
    editors.click("button", "Save & test")
    editors.tab.until(lambda: editors.alert()[0] == "success", "success")


def test_a_file_that_is_no_database_is_told(editors: Editors, tmp_path: Path) -> None:
    editors.allowed.append(REFUSED_HEALTH)
    file = tmp_path / "notes.txt"
    file.write_text("no database, but long enough to be one " * 200)
    editors.open("config")
    editors.fill("Path", str(file))
    editors.click("button", "Save & test")
    kind, words = editors.alert()
    assert kind == "error"
    assert "SQLite" in words or "database" in words


def test_wrong_settings_are_told_before_they_are_saved(editors: Editors) -> None:
    editors.open("config")
    editors.fill("Path", "ceems.db")
    editors.tab.until(lambda: "A full path, which starts with /" in editors.tab.text(), "hint about the path")
    editors.fill("Query timeout", "soon")
    editors.tab.until(lambda: "A length of time, such as 30s" in editors.tab.text(), "hint about the timeout")
    editors.screenshot("config-hints")


def test_choices_and_links_are_stored_and_units_then_link_to_their_metrics(editors: Editors) -> None:
    editors.open("config")
    editors.choose("Administrators by Grafana role", "Everybody")
    editors.drop_down("Time zone")
    editors.tab.type("Europe/Par")
    editors.options_become(lambda labels: labels == ["Europe/Paris"], "Paris alone")
    editors.take("Europe/Paris")
    editors.click("button", "Expand section Links of units")
    editors.choose("Metrics data source", "Metrics")
    editors.screenshot("config-links")
    settings = editors.model("Settings")
    chosen = {key: settings[key] for key in ("adminRole", "timezone", "metricsDatasourceUid")}
    assert chosen == {"adminRole": "Viewer", "timezone": "Europe/Paris", "metricsDatasourceUid": "metrics"}
    editors.click("button", "Save & test")
    assert editors.alert()[0] == "success"

    # The role that was just chosen makes every signed-in user an administrator.
    editors.grafana.login = "nobody"
    editors.open("query", stored={"admin": True, "limit": 3, "fields": ["uuid", "project"]})
    result = editors.run()
    assert len(result.rows) == 3
    assert any("metrics" in title.lower() for title in editors.links())

"""The annotation editor in a real browser: the chosen units become regions."""

from __future__ import annotations

from tests.browser.conftest import NOW
from tests.browser.database import Database
from tests.browser.editors import Editors


def test_chosen_units_become_regions(editors: Editors, database: Database) -> None:
    editors.open("annotation")
    editors.choose("As admin", "Yes")
    editors.choose("Clusters", "slurm-gpu")
    editors.close_menu()
    editors.choose("Projects", "climate")
    editors.close_menu()
    editors.click("switch", "Running too")
    editors.model_becomes(
        queryType="units", running=False, limit=100, admin=True, clusters=["slurm-gpu"], projects=["climate"]
    )
    result = editors.run("Show events")
    chosen = "cluster_id = 'slurm-gpu' AND project = 'climate' AND ended_at_ts > 0 AND ignore = 0"
    assert result.total == min(100, database.value(f"SELECT count(*) FROM units WHERE {chosen}"))
    assert set(result.column("isRegion")) == {"true"}
    assert all(tags.startswith("slurm-gpu, ") for tags in result.column("tags"))
    editors.screenshot("annotation")


def test_events_lie_where_the_units_ran(editors: Editors, database: Database) -> None:
    unit = "SELECT uuid, started_at_ts, ended_at_ts, username, project FROM units WHERE ended_at_ts > 0 AND ignore = 0"
    uuid, started, ended, user, project = next(database.connection.execute(f"{unit} ORDER BY ended_at_ts DESC"))
    editors.open("annotation", stored={"admin": True})
    editors.click("combobox", "Unit IDs")
    editors.tab.type(uuid)
    editors.options_become(lambda labels: labels == [uuid], "the unit")
    editors.take(uuid)
    editors.close_menu()
    result = editors.run("Show events")
    assert [result.column(name)[0] for name in ("time", "timeEnd", "text")] == [
        str(started),
        str(ended),
        f"{user}, {project}",
    ]
    assert ended <= NOW.timestamp() * 1000

"""The query editor in a real browser: every drop-down is filled and every query answered by the real plugin process."""

from __future__ import annotations

from tests.browser.database import Database
from tests.browser.editors import Editors

COUNTED = "ended_at_ts > 0 AND ignore = 0"


def test_a_filter_searches_the_database_as_one_types(editors: Editors, database: Database) -> None:
    projects = sorted(database.column("SELECT DISTINCT project FROM units"))
    editors.open("query", stored={"version": 3, "queryType": "units", "admin": True})
    editors.drop_down("Projects")
    assert sorted(editors.options()) == projects

    editors.tab.type("clim")
    editors.options_become(lambda labels: labels == ["climate"], "climate alone")
    editors.screenshot("query-suggestions")
    editors.take("climate")
    editors.close_menu()
    editors.model_becomes(version=3, queryType="units", admin=True, projects=["climate"])

    result = editors.run()
    assert result.total == database.value(f"SELECT count(*) FROM units WHERE project = 'climate' AND {COUNTED}")
    assert set(result.column("project")) == {"climate"}
    editors.screenshot("query-units")


def test_filters_narrow_each_other(editors: Editors, database: Database) -> None:
    members = "SELECT DISTINCT username FROM units WHERE project = 'fusion' AND cluster_id = 'k8s-0' ORDER BY 1"
    editors.open("query", stored={"version": 3, "queryType": "units", "admin": True, "projects": ["fusion"]})
    editors.choose("Clusters", "k8s-0")
    editors.close_menu()
    editors.drop_down("Users")
    assert sorted(editors.options()) == database.column(members)


def test_the_fields_picker_groups_and_describes_and_the_answer_has_what_was_picked(editors: Editors) -> None:
    editors.open("query", stored={"version": 3, "queryType": "units", "admin": True, "limit": 5})
    editors.drop_down("Fields")
    menu = editors.menu_text()
    for words in ("Who and what", "Times", "Measured", "Computed", "Allocation", "Tags", "Unit: kWh."):
        assert words in menu
    editors.screenshot("query-fields")
    picked = ["total_energy_usage_kwh.total", "uuid", "username"]
    for field in picked:
        editors.take(field)
    editors.close_menu()
    editors.model_becomes(version=3, queryType="units", admin=True, limit=5, fields=picked)

    result = editors.run()
    assert [name for name in result.columns if not name.startswith("link_")] == picked
    assert len(result.rows) == 5
    # Grafana's own format for the unit of the field.
    assert all(energy.endswith("Wh") for energy in result.column(picked[0]))
    assert editors.alert()[0] == "warning", "a notice says that the limit cut the answer"


def test_another_query_type_has_other_parts(editors: Editors, database: Database) -> None:
    editors.open(
        "query",
        stored={"version": 3, "queryType": "units", "admin": True, "uuids": ["1"], "projects": ["climate", "fusion"]},
    )
    editors.tab.find("combobox", "Unit IDs")
    editors.choose("Query type", "Usage")
    editors.model_becomes(version=3, queryType="usage", admin=True, projects=["climate", "fusion"], source="prorated")
    assert not editors.tab.has("combobox", "Unit IDs")

    editors.click("radio", "All time")
    editors.choose("Group by", "Project")
    editors.close_menu()
    editors.drop_down("Fields")
    editors.take("project")
    editors.take("num_units")
    editors.close_menu()
    editors.model_becomes(
        version=3,
        queryType="usage",
        admin=True,
        projects=["climate", "fusion"],
        source="prorated",
        mode="global",
        groupBy=["project"],
        fields=["project", "num_units"],
    )
    result = editors.run()
    sums = "SELECT project, sum(num_units) FROM usage WHERE project IN ('climate', 'fusion') GROUP BY 1 ORDER BY 1"
    assert sorted(result.rows) == [[project, str(count)] for project, count in database.connection.execute(sums)]
    editors.screenshot("query-usage")


def test_usage_over_time_has_a_series_for_each_group(editors: Editors, database: Database) -> None:
    editors.open(
        "query", stored={"version": 3, "queryType": "units", "admin": True, "fields": ["total_energy_usage_kwh.total"]}
    )
    editors.choose("Query type", "Usage over time")
    editors.choose("Group by", "Cluster")
    editors.close_menu()
    result = editors.run()
    clusters = database.column("SELECT DISTINCT cluster_id FROM units")
    assert result.columns[0] == "time"
    assert sorted(result.columns[1:]) == sorted(f"total_energy_usage_kwh.total {cluster}" for cluster in clusters)
    assert result.total >= 20
    editors.screenshot("query-over-time")


def test_a_condition_is_put_together_from_suggestions_and_a_typed_value(editors: Editors, database: Database) -> None:
    editors.open("query", stored={"version": 3, "queryType": "units", "admin": True})
    editors.click("button", "Add a condition")
    editors.drop_down("Condition 1: column")
    editors.tab.type("avg_cpu_u")
    editors.options_become(lambda labels: labels == ["avg_cpu_usage.global"], "the only column of this name")
    editors.take("avg_cpu_usage.global")
    editors.choose("Condition 1: operator", "<")
    editors.click("combobox", "Condition 1: value")
    editors.tab.type("25")
    editors.tab.press("Enter")
    editors.model_becomes(
        version=3,
        queryType="units",
        admin=True,
        filters=[{"key": "avg_cpu_usage.global", "operator": "<", "value": "25"}],
    )
    editors.screenshot("query-condition")
    assert editors.run().total == database.value(
        f"SELECT count(*) FROM units WHERE json_extract(avg_cpu_usage, '$.global') < 25 AND {COUNTED}"
    )


def test_a_variable_is_stored_by_name_and_asked_with_its_values(editors: Editors, database: Database) -> None:
    editors.open(
        "query",
        stored={"version": 3, "queryType": "units", "admin": True},
        variables={"project": ["climate", "fusion"]},
    )
    editors.choose("Projects", "$project")
    editors.close_menu()
    editors.model_becomes(version=3, queryType="units", admin=True, projects=["$project"])
    result = editors.run()
    assert editors.grafana.queries[-1]["projects"] == ["climate", "fusion"]
    assert result.total == database.value(
        f"SELECT count(*) FROM units WHERE project IN ('climate', 'fusion') AND {COUNTED}"
    )


def test_users_see_their_own_units_and_are_refused_those_of_others(editors: Editors, database: Database) -> None:
    user, count = next(
        database.connection.execute(
            f"SELECT username, count(*) FROM units WHERE cluster_id = 'slurm-cpu' AND {COUNTED} AND username NOT IN "
            "(SELECT name FROM admin_users) GROUP BY 1 ORDER BY 2 DESC"
        )
    )
    editors.grafana.login = user
    editors.open("query", stored={"version": 3, "queryType": "units", "admin": False, "clusters": ["slurm-cpu"]})
    result = editors.run()
    assert result.total == count
    assert set(result.column("username")) == {user}

    editors.choose("As admin", "Yes")
    editors.model_becomes(version=3, queryType="units", clusters=["slurm-cpu"], admin=True)
    editors.allowed.append(r"^40[03] .*/api/ds/query")
    editors.click("button", "Run query")
    kind, words = editors.alert()
    assert kind == "error"
    assert words == "current user does not have admin privileges"
    editors.screenshot("query-refused")


def test_the_examples_of_explore_are_a_start(editors: Editors) -> None:
    editors.open("query", app="explore")
    editors.click("button", "Use example: Top users by energy")
    editors.tab.until(lambda: editors.model().get("queryType") == "usage", "query of the example")
    result = editors.run()
    assert result.columns == ["username", "num_units", "total_energy_usage_kwh.total"]
    assert len(result.rows) == 20
    editors.screenshot("explore-example")


def test_alert_rules_are_offered_what_has_numbers(editors: Editors) -> None:
    editors.open("query", app="unified-alerting", stored={"version": 3, "queryType": "usage", "admin": True})
    editors.drop_down("Query type")
    assert editors.options() == ["Usage", "Usage over time", "Distribution", "Statistics"]
    editors.take("Statistics")
    editors.model_becomes(version=3, queryType="stats", admin=True, format="numeric")
    assert editors.run().rows
    editors.screenshot("alerting")


def test_a_new_query_is_stored_as_it_is_shown_and_has_few_rows(editors: Editors) -> None:
    editors.open("query", app="panel-editor")
    editors.tab.until(lambda: editors.model().get("version") == 3, "a complete query")
    model = editors.model()
    assert (model["queryType"], model["limit"], model["admin"], model["orderBy"]) == (
        "units", 1000, "auto", ["-started_at"],
    )  # fmt: skip
    result = editors.run()
    assert [name for name in result.columns if not name.startswith("link_")][:3] == ["uuid", "name", "project"]


def test_a_new_rule_asks_for_the_numbers_that_it_shows(editors: Editors) -> None:
    editors.open("query", app="unified-alerting")
    editors.tab.until(lambda: editors.model().get("version") == 3, "a complete query")
    assert editors.model()["groupBy"] == ["project"]
    assert editors.run().columns == ["project", "total_energy_usage_kwh.total"]

"""The editor of template variables in a real browser: kinds of values, and the filters that narrow them."""

from __future__ import annotations

from tests.browser.database import Database
from tests.browser.editors import Editors


def test_it_starts_with_users_and_lists_other_kinds(editors: Editors, database: Database) -> None:
    editors.open("variable")
    assert editors.model()["kind"] == "users"
    editors.choose("Values", "Clusters")
    editors.tab.until(lambda: editors.model()["kind"] == "clusters", "clusters in the query")
    result = editors.run("Show values")
    assert sorted(result.column("value")) == database.column("SELECT DISTINCT cluster_id FROM units ORDER BY 1")
    editors.screenshot("variable-clusters")


def test_values_are_narrowed_by_other_choices(editors: Editors, database: Database) -> None:
    editors.open("variable", stored={"kind": "projects"})
    editors.choose("Clusters", "openstack-0")
    editors.close_menu()
    editors.tab.until(lambda: editors.model().get("clusters") == ["openstack-0"], "cluster in the query")
    result = editors.run("Show values")
    on_cluster = "SELECT name FROM projects WHERE cluster_id = 'openstack-0' ORDER BY 1"
    assert sorted(result.column("value")) == database.column(on_cluster)
    editors.screenshot("variable-projects")


def test_the_keys_of_a_metric_are_those_in_the_database(editors: Editors, database: Database) -> None:
    editors.open("variable")
    editors.choose("Values", "Metric keys")
    editors.choose("Column", "total_cpu_emissions_gms")
    editors.tab.until(lambda: editors.model().get("column") == "total_cpu_emissions_gms", "column in the query")
    result = editors.run("Show values")
    keys = "SELECT DISTINCT key FROM units, json_each(total_cpu_emissions_gms) WHERE key IS NOT NULL ORDER BY 1"
    assert sorted(result.column("value")) == database.column(keys)
    editors.screenshot("variable-metric-keys")

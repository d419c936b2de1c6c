"""What rewriting does to whole dashboards."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceems_grpc.migrate.dashboards.migration import NotADashboardError, migrate
from ceems_grpc.migrate.panels.panel import Options
from ceems_grpc.migrate.report import CEEMS, INFINITY, Json
from ceems_grpc.panels.query_model import read_query
from tests.migrate.boards import NAMES, filled, inner, is_infinity, load, migrated, our_targets, panel, panels, variable
from tests.migrate.json_places import any_json, places

VALUES: dict[str, str | list[str]] = {
    "VAR_SITE": "slurm-0",
    "team": ["proj000", "proj001"],
    "member": "user0004",
    "factor": "rte",
    "who": "user0001",
    "unit": "100",
    "person": "user0001",
    "clusterId": "slurm-0",
    "others": ["101", "102"],
    "site": "slurm-0",
    "__to": "1767221991587",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_second_run_changes_nothing(name: str) -> None:
    first = migrate(load(name))
    second = migrate(first.dashboard)
    assert second.dashboard == first.dashboard
    assert [str(finding) for finding in second.left] == [str(finding) for finding in first.left]


@pytest.mark.parametrize("name", NAMES)
def test_the_given_document_is_not_changed(name: str) -> None:
    document = load(name)
    before = deepcopy(document)
    migrate(document, Options(short_links=True, admin_auto=True))
    assert document == before


@pytest.mark.parametrize("name", NAMES)
def test_every_query_decodes(name: str) -> None:
    found = list(our_targets(migrated(name, datasource_uid="x")))
    assert found
    for _, target in found:
        model, kind = read_query(json.dumps(filled(target, VALUES)).encode())
        assert kind == target["queryType"]
        assert model.shape(kind)


@pytest.mark.parametrize("name", ["shared", "beside", "ways", "rows", "chart"])
def test_nothing_of_infinity_is_left_that_reads_the_api(name: str) -> None:
    migration = migrate(load(name))
    assert migration.left == ()
    for one in panels(migration.dashboard):
        for target in one.get("targets", []):
            assert not is_infinity(target) or "weather" in target["url"]


def test_what_is_left_stays_as_it_was() -> None:
    migration = migrate(load("left"))
    fine = "fine"
    old, new = load("left"), migration.dashboard
    assert [p for p in panels(new) if p["title"] != fine] == [p for p in panels(old) if p["title"] != fine]
    assert new["annotations"] == old["annotations"]
    assert [v for v in new["templating"]["list"] if v["type"] == "query"] == old["templating"]["list"]
    titles = {finding.where for finding in migration.left}
    assert titles == {
        *(f"panel '{p['title']}'" for p in panels(old) if p["title"] != fine),
        "variable 'bad'",
        "variable 'filtered'",
        "annotation 'Runs'",
    }
    assert {item["id"] for item in new["__requires"]} == {INFINITY, CEEMS}


WHY = {
    "post": "GET only",
    "unknown parameter": "'limit'",
    "fixed time": "'from' is '1700000000'",
    "sum in the root selector": "$sum",
    "groq": "'groq'",
    "uql summary": "summarize",
    "summary": "mean(CPU)",
    "twice": "'name' is there twice",
    "unknown column": "no column 'projects'",
    "function": "$number(elapsed)",
    "verify": "/units/verify",
    "role": "'role'",
    "logs": "'logs'",
    "group by state": "'state'",
    "text taken apart": "'State'",
    "one of two": "target B",
    "sql": "SQL",
    "inner rows": "'projects'",
}


@pytest.mark.parametrize("title", WHY)
def test_it_says_why(title: str) -> None:
    found = [str(finding) for finding in migrate(load("left")).left if finding.where == f"panel '{title}'"]
    assert WHY[title] in found[0]


@pytest.mark.parametrize("name", NAMES)
def test_other_parts_are_untouched(name: str) -> None:
    old, new = inner(load(name)), migrated(name)
    rewritten = {"panels", "rows", "templating", "__inputs", "__requires", "__elements"}
    assert {k: v for k, v in new.items() if k not in rewritten} == {k: v for k, v in old.items() if k not in rewritten}
    for before, after in zip(panels(old), panels(new), strict=True):
        assert {k: before.get(k) for k in ("id", "type", "title", "gridPos", "options", "libraryPanel")} == {
            k: after.get(k) for k in ("id", "type", "title", "gridPos", "options", "libraryPanel")
        }
        if not any("url_options" in target for target in before.get("targets", [])) and not before.get("panels"):
            assert after == before or before["title"] == "The same by team"
    kept = [v for v in old["templating"]["list"] if v["type"] != "query" and v.get("query") != INFINITY]
    assert all(v in new["templating"]["list"] for v in kept)


_JSON = any_json()
_SOURCES = st.sampled_from(
    [
        None,
        "Prometheus",
        {"type": "prometheus", "uid": "p"},
        {"type": INFINITY, "uid": "w"},
        {"type": CEEMS, "uid": "c"},
    ]
)
_TARGETS = st.fixed_dictionaries(
    {"refId": st.sampled_from("ABC"), "expr": st.text(max_size=9)},
    optional={
        "datasource": _SOURCES,
        "hide": st.booleans(),
        "url": st.sampled_from(
            ["", "/health", "https://a.example/users", "https://a.example/api/v2/units", "/other/x"]
        ),
        "url_options": _JSON,
    },
)
_PANELS = st.fixed_dictionaries(
    {"id": st.integers(0, 9), "title": st.text(max_size=9), "type": st.sampled_from(["stat", "row", "text"])},
    optional={
        "datasource": _SOURCES,
        "targets": st.lists(_TARGETS, max_size=3),
        "transformations": _JSON,
        "fieldConfig": _JSON,
        "options": _JSON,
        "links": _JSON,
    },
)


@given(st.lists(_PANELS, max_size=4), _JSON, _JSON)
def test_a_dashboard_without_our_api_is_untouched(others: list[Json], links: Any, options: Any) -> None:
    document = {"panels": others, "links": links, "templating": {"list": []}, "anything": options}
    migration = migrate(document)
    assert migration.dashboard == document
    assert migration.findings == ()


@given(_PANELS)
def test_a_foreign_panel_beside_ours_is_untouched(other: Json) -> None:
    document = load("rows")
    document["panels"] = [other, {"type": "row", "panels": [deepcopy(other)]}]
    after = migrate(document).dashboard
    assert after["panels"] == document["panels"]
    assert after["rows"] != document["rows"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "not an object"),
        ({"title": "x"}, "none of 'panels', 'rows' and 'elements'"),
        ({"kind": "LibraryPanel", "spec": {"panels": []}}, "a LibraryPanel"),
    ],
)
def test_what_is_no_dashboard(document: Any, words: str) -> None:
    with pytest.raises(NotADashboardError, match=words):
        migrate(document)


def test_the_wrapping_of_the_http_api_and_of_git_sync_stays() -> None:
    document = load("beside")
    assert migrate(document).dashboard["meta"] == document["meta"]
    resource = {"apiVersion": "dashboard.grafana.app/v1beta1", "kind": "Dashboard", "spec": load("ways")}
    after = migrate(resource).dashboard
    assert after["spec"] == migrated("ways")
    assert after["kind"] == "Dashboard"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.data())
def test_a_broken_dashboard_is_rewritten_or_refused(name: str, data: st.DataObject) -> None:
    """Whatever replaces a part, the result is a dashboard or a message, and a second run changes nothing."""
    document = load(name)
    found = list(places(document))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(found))
        holder[key] = data.draw(_JSON)
    try:
        first = migrate(document).dashboard
    except NotADashboardError:
        return
    assert migrate(first).dashboard == first


# Data sources


def test_an_exported_dashboard_asks_for_our_data_source_when_imported() -> None:
    new = migrated("shared")
    inputs = {item["name"]: item for item in new["__inputs"]}
    assert inputs["DS_CEEMS-REST"]["pluginId"] == CEEMS
    assert set(inputs) == {"DS_CEEMS-REST", "VAR_SITE", "VAR_SPARE"}  # nothing refers to VAR_PATH any more
    assert [item["id"] for item in new["__requires"]] == ["grafana", "stat", CEEMS]
    assert panel(new, "Energy")["datasource"] == {"type": CEEMS, "uid": "${DS_CEEMS-REST}"}


def test_an_input_that_infinity_still_needs_stays() -> None:
    document = load("shared")
    other = {**panel(document, "Energy"), "title": "Other"}
    other["targets"] = [{**other["targets"][0], "url": "/somewhere/else"}]
    document["panels"].append(other)
    new = migrate(document).dashboard
    assert panel(new, "Other") == other
    assert panel(new, "Energy")["datasource"]["uid"] == "${ceems}"
    assert {item["name"]: item.get("pluginId") for item in new["__inputs"]}["DS_CEEMS-REST"] == INFINITY
    assert variable(new, "ceems")["query"] == CEEMS
    assert {INFINITY, CEEMS} <= {item["id"] for item in new["__requires"]}


def test_a_data_source_named_by_uid_becomes_a_variable_or_the_given_uid() -> None:
    new = migrated("beside")
    assert variable(new, "ceems")["type"] == "datasource"
    assert panel(new, "Last day")["datasource"]["uid"] == "${ceems}"
    given_uid = migrated("beside", datasource_uid="abc")
    assert panel(given_uid, "Last day")["targets"][0]["datasource"] == {"type": CEEMS, "uid": "abc"}
    assert all(v["name"] != "ceems" for v in given_uid["templating"]["list"])


def test_a_variable_that_chooses_infinity_chooses_ours() -> None:
    api = variable(migrated("ways"), "api")
    assert (api["query"], api["regex"], api["current"]) == (CEEMS, "", {})


def test_only_the_named_infinity_data_source() -> None:
    assert migrate(load("beside"), Options(only_uids=("another",))).dashboard == load("beside")
    assert migrate(load("beside"), Options(only_uids=("rest-api",))).dashboard == migrate(load("beside")).dashboard


def test_panels_with_several_data_sources() -> None:
    new = migrated("beside")
    mixed = panel(new, "Units and nodes")
    assert mixed["datasource"]["uid"] == "-- Mixed --"
    assert mixed["targets"][1] == panel(load("beside"), "Units and nodes")["targets"][1]
    assert mixed["transformations"][0]["filter"] == {"id": "byRefId", "options": "A"}
    both = panel(new, "API and weather")
    assert both["datasource"] == {"type": "datasource", "uid": "-- Mixed --"}
    assert [target["datasource"]["type"] for target in both["targets"]] == [CEEMS, INFINITY]


_MIXED = {"type": "datasource", "uid": "-- Mixed --"}


@pytest.mark.parametrize(
    "of_panel", [None, "CEEMS REST", {"type": INFINITY, "uid": "u"}, {"uid": "u"}, {}, "-- Mixed --", _MIXED]
)
@pytest.mark.parametrize("of_target", [None, "CEEMS REST", {"type": INFINITY, "uid": "u"}, {"uid": "u"}, "absent"])
def test_every_way_to_name_a_data_source(of_panel: Any, of_target: Any) -> None:
    """By name, as in older dashboards, by null for the default, and by Grafana's own names."""
    document = load("beside")
    one = panel(document, "Last day")
    one["datasource"] = of_panel
    for target in one["targets"]:
        target.pop("datasource", None)
        if of_target != "absent":
            target["datasource"] = of_target
    migration = migrate(document)
    new = panel(migration.dashboard, "Last day")
    ours = {"type": CEEMS, "uid": "${ceems}"}
    assert not [finding for finding in migration.left if "Last day" in finding.where]
    assert [target["datasource"] for target in new["targets"]] == [ours]
    assert new["datasource"] == (of_panel if of_panel in ("-- Mixed --", _MIXED) else ours)


@pytest.mark.parametrize("own", ["-- Dashboard --", {"type": "datasource", "uid": "-- Dashboard --"}])
def test_a_panel_that_shows_another_ones_results_keeps_its_data_source(own: Any) -> None:
    document = load("beside")
    panel(document, "The same by team")["datasource"] = own
    new = panel(migrate(document).dashboard, "The same by team")
    assert new["datasource"] == own
    assert new["transformations"][0] == panel(migrated("beside"), "Use by team")["transformations"][0]


def test_panels_in_rows_in_rows_are_rewritten() -> None:
    document = load("beside")
    plain = migrate(document).dashboard
    deep = deepcopy(document)
    board = inner(deep)
    board["panels"] = [
        {"type": "row", "id": 90, "collapsed": True, "panels": [{"type": "row", "id": 91, "panels": board["panels"]}]}
    ]
    made = migrate(deep)
    assert inner(made.dashboard)["panels"][0]["panels"][0]["panels"] == inner(plain)["panels"]


def test_a_library_panel_that_the_file_has_not_is_told_and_stays() -> None:
    document = load("beside")
    shared = {"id": 77, "title": "Shared", "libraryPanel": {"uid": "far", "name": "n"}}
    inner(document)["panels"].append(shared)
    made = migrate(document)
    assert inner(made.dashboard)["panels"][-1] == shared
    assert [str(f) for f in made.findings if f.where == "panel 'Shared'"] == [
        "note: panel 'Shared': library panel: it is not part of the file; "
        "export the dashboard with its library panels to rewrite it"
    ]


# Queries


def test_parameters() -> None:
    target = panel(migrated("beside"), "Use by team")["targets"][0]
    assert target == {
        "refId": "A",
        "datasource": {"type": CEEMS, "uid": "${ceems}"},
        "queryType": "usage",
        "mode": "current",
        "admin": True,
        "clusters": ["slurm-0", "slurm-1"],
        "projects": ["${team}"],
        "groupBy": ["cluster_id"],
        "fields": ["project", "cluster_id", "avg_cpu_usage.global", "num_units"],
    }
    one = panel(migrated("beside"), "One unit")["targets"][0]
    assert (one["queryType"], one["uuids"], "admin" in one) == ("units", ["${unit}", "${others}"], False)
    assert one["fields"] == ["uuid", "started_at", "tags.qos"]
    day = panel(migrated("beside"), "Last day")
    assert (day["targets"][0]["source"], day["timeFrom"]) == ("daily", "24h")


def test_admin() -> None:
    assert {t["admin"] for _, t in our_targets(migrated("shared"))} == {"auto"}
    assert panel(migrated("beside", admin_auto=True), "Use by team")["targets"][0]["admin"] == "auto"
    assert "admin" not in panel(migrated("beside", admin_auto=True), "One unit")["targets"][0]


def test_members_of_a_project_are_not_narrowed_to_the_user_who_is_named() -> None:
    target = panel(migrated("shared"), "Average use")["targets"][0]
    assert "users" not in target
    assert target["projects"] == ["${team}"]
    assert target["filters"] == [{"key": "username", "operator": "=", "value": "${member}"}]
    assert panel(migrated("shared"), "Jobs of the team")["targets"][0]["users"] == ["${member}"]


def test_a_number_column_that_is_there_twice_is_kept_and_told() -> None:
    migration = migrate(load("chart"))
    pie = panel(migration.dashboard, "Emissions by person")
    assert pie["targets"][0]["fields"].count("total_cpu_emissions_gms.emaps_total") == 1
    calculations = [step["options"] for step in pie["transformations"] if step["id"] == "calculateField"]
    copy, total = calculations
    assert (copy["alias"], copy["binary"]["operator"], copy["binary"]["right"]) == ("CardEmaps", "+", {"fixed": "0"})
    assert copy["binary"]["left"] == {"matcher": {"id": "byName", "options": "HostEmaps"}}
    assert total["alias"] == "emaps"
    assert [total["binary"][side]["matcher"]["options"] for side in ("left", "right")] == ["HostEmaps", "CardEmaps"]
    notes = [str(finding) for finding in migration.findings if finding.where == "panel 'Emissions by person'"]
    assert len(notes) == 1
    assert "'CardEmaps' reads total_cpu_emissions_gms.emaps_total again" in notes[0]


def test_cpu_and_gpu_of_one_key_are_still_one_field() -> None:
    fields = panel(migrated("chart"), "Emissions by person")["targets"][0]["fields"]
    assert "total_emissions_gms.rte_total" in fields
    assert "total_emissions_gms.emaps_total" not in fields


@pytest.mark.parametrize("title", ["Jobs", "Jobs by name of the present"])
def test_the_end_of_a_running_unit_is_now(title: str) -> None:
    table = panel(migrated("chart"), title)
    made = {s["options"]["alias"]: s["options"] for s in table["transformations"] if s["id"] == "calculateField"}
    assert set(made) == {"from", "from (part 1)", "to"}
    assert made["to"]["binary"]["left"]["matcher"]["options"] == "ended_at_ts"
    assert made["from (part 1)"]["binary"]["right"] == {"fixed": "3600000"}
    assert made["from"]["reduce"] == {"reducer": "max", "include": ["started_at_ts", "from (part 1)"]}
    shown = [o for o in table["fieldConfig"]["overrides"] if o["matcher"] == {"id": "byName", "options": "to"}]
    texts = [p["value"][0]["options"]["0"]["text"] for o in shown for p in o["properties"] if p["id"] == "mappings"]
    assert texts == ["now"]


def test_constants_choose_the_cluster_and_the_endpoint() -> None:
    new = migrated("chart")
    assert {(t["admin"], *t["clusters"]) for _, t in our_targets(new)} == {("auto", "${clusterId}")}
    assert [variable(new, name)["query"]["kind"] for name in ("person", "team")] == ["users", "projects"]
    assert {v["name"] for v in new["templating"]["list"]} >= {"clusterId", "endpoint"}


def test_objects_that_were_taken_apart_are_fields() -> None:
    new = migrated("chart")
    assert panel(new, "Busy processors")["targets"][0]["fields"] == ["avg_cpu_usage.global"]
    fields = panel(new, "Emissions")["targets"][0]["fields"]
    halves = [f"total_{half}_emissions_gms.{key}_total" for half in ("cpu", "gpu") for key in ("rte", "emaps", "owid")]
    assert fields == [*halves, "username"]
    assert not any(step["id"] == "extractFields" for one in panels(new) for step in one.get("transformations", []))


def test_choices_of_rows() -> None:
    new = migrated("ways")

    def target(title: str) -> Json:
        found: Json = panel(new, title)["targets"][0]
        return found

    assert target("UQL")["filters"] == [
        {"key": "state", "operator": "=", "value": "COMPLETED"},
        {"key": "avg_cpu_usage.global", "operator": ">", "value": 10.0},
    ]
    assert (target("UQL")["orderBy"], target("UQL")["limit"]) == (["-avg_cpu_usage.global"], 20)
    assert target("JSONata")["filters"] == [
        {"key": "state", "operator": "=", "value": "COMPLETED"},
        {"key": "username", "operator": "=|", "value": ["user0000", "user0003"]},
    ]
    assert target("JSONata")["orderBy"] == ["-total_time_seconds.walltime"]
    assert target("First")["limit"] == 1
    assert target("Filters of its own")["filters"] == [
        {"key": "state", "operator": "=|", "value": ["COMPLETED", "FAILED"]},
        {"key": "total_cpu_energy_usage_kwh.total", "operator": ">", "value": 0.5},
    ]
    assert target("Busy users")["filters"] == [
        {"key": "username", "operator": "!=|", "value": ["user0001", "user0002"]}
    ]
    assert target("Energy of units")["orderBy"] == ["ended_at"]
    assert target("With an expression")["format"] == "numeric"


def test_usage_is_compared_after_summing() -> None:
    busy = panel(migrated("ways"), "Busy users")["transformations"][-1]
    assert busy == {
        "id": "filterByValue",
        "options": {
            "type": "include",
            "match": "all",
            "filters": [
                {"fieldName": "Units", "config": {"id": "greaterOrEqual", "options": {"value": 3.0}}},
                {"fieldName": "CPU", "config": {"id": "isNotNull"}},
            ],
        },
    }
    either = panel(migrated("ways"), "Either")["transformations"][-1]["options"]
    assert (either["match"], [item["fieldName"] for item in either["filters"]]) == ("any", ["Units", "User"])


def test_sums_of_cpu_and_gpu_come_from_the_data_source() -> None:
    new = migrated("shared")
    assert panel(new, "Energy")["targets"][0]["fields"][-1] == "total_energy_usage_kwh.total"
    assert [step["id"] for step in panel(new, "Energy")["transformations"]] == ["organize", "organize"]
    assert panel(new, "Emissions, by a variable")["targets"][0]["fields"] == [
        "total_cpu_emissions_gms.${factor}_total",
        "total_gpu_emissions_gms.${factor}_total",
        "username",
        "total_emissions_gms.${factor}_total",
    ]
    model = new["__elements"]["lib-energy"]["model"]
    assert model["targets"][0]["fields"][-1] == "total_energy_usage_kwh.total"


def test_emissions_need_no_extraction() -> None:
    apart = panel(migrated("shared"), "Emissions, taken apart")
    assert apart["targets"][0]["fields"] == [
        "total_cpu_emissions_gms.rte_total",
        "total_cpu_emissions_gms.emaps_total",
        "total_gpu_emissions_gms.rte_total",
        "total_gpu_emissions_gms.emaps_total",
        "username",
    ]
    steps = [step["id"] for step in apart["transformations"]]
    assert steps == ["organize", "filterFieldsByName", "calculateField", "renameByRegex"]


def test_times_are_not_parsed_again() -> None:
    steps = panel(migrated("shared"), "Jobs of the team")["transformations"]
    conversions = [step["options"]["conversions"] for step in steps if step["id"] == "convertFieldType"]
    assert conversions == [[{"targetField": "Job", "destinationType": "string"}]]
    assert "created_at" in panel(migrated("ways"), "Tags stay together")["targets"][0]["fields"]


def test_a_panel_keeps_its_own_unit_and_range() -> None:
    first = panel(migrated("shared"), "Energy")["fieldConfig"]["overrides"][0]
    assert first["properties"] == [{"id": "unit", "value": "watth"}]
    gauge = panel(migrated("shared"), "Average use")["fieldConfig"]["overrides"][0]
    assert gauge["properties"] == [{"id": "max", "value": 80}]
    assert panel(migrated("shared"), "Emissions, taken apart")["fieldConfig"]["overrides"] == []


def test_a_panel_that_shows_another_ones_results_finds_its_columns() -> None:
    new = migrated("beside")
    same = panel(new, "The same by team")
    assert same["transformations"][0] == panel(new, "Use by team")["transformations"][0]
    assert same["transformations"][1:] == panel(load("beside"), "The same by team")["transformations"]
    assert same["targets"] == panel(load("beside"), "The same by team")["targets"]


# Links and variables


def test_links() -> None:
    old = panel(load("shared"), "Jobs of the team")["fieldConfig"]["defaults"]["links"]
    assert panel(migrated("shared"), "Jobs of the team")["fieldConfig"]["defaults"]["links"] == old
    short = panel(migrated("shared", short_links=True, unit_dashboard="my-unit"), "Jobs of the team")
    links = short["fieldConfig"]["defaults"]["links"]
    assert links[1] == old[1]
    assert links[0]["url"] == (
        '/d/my-unit?var-uuid=${__data.fields["Job"]:percentencode}&var-cluster_id=${__data.fields["cluster_id"]:percentencode}'
        "&from=${__data.fields.begin}&to=${__data.fields.finish}"
    )
    assert "cluster_id" in short["targets"][0]["fields"]
    hidden = short["fieldConfig"]["overrides"][-1]
    assert hidden["matcher"]["options"] == "cluster_id"
    assert {"id": "custom.hidden", "value": True} in hidden["properties"]


@pytest.mark.parametrize(
    ("board", "name", "query"),
    [
        ("shared", "member", {"kind": "users", "admin": "auto", "clusters": ["${VAR_SITE}"]}),
        ("shared", "team", {"kind": "projects", "admin": "auto", "clusters": ["${VAR_SITE}"], "users": ["${member}"]}),
        ("beside", "team", {"kind": "projects", "admin": True, "clusters": ["slurm-0"]}),
        ("beside", "unit", {"kind": "uuids", "admin": True, "projects": ["$team"]}),
        ("ways", "who", {"kind": "users", "admin": True}),
        ("ways", "site", {"kind": "clusters", "admin": True}),
        ("ways", "kind", {"kind": "resource-managers", "admin": True}),
        ("ways", "state", {"kind": "states", "admin": False, "clusters": ["$site"]}),
    ],
)
def test_variables(board: str, name: str, query: Json) -> None:
    old, new = variable(load(board), name), variable(migrated(board), name)
    assert new["query"] == {"refId": "variable", **query}
    assert new["datasource"]["type"] == CEEMS
    changed = {"query", "datasource"}
    assert {k: v for k, v in new.items() if k not in changed} == {k: v for k, v in old.items() if k not in changed}

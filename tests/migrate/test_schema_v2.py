"""Dashboards in Grafana's schema v2 are rewritten like the same dashboards in the classic form."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceems_grpc.migrate.dashboards.migration import NotADashboardError, migrate
from ceems_grpc.migrate.panels.panel import Options
from ceems_grpc.migrate.report import CEEMS, INFINITY, Json
from tests.migrate.boards import load, panel
from tests.migrate.json_places import any_json, places
from tests.migrate.v2_boards import ALPHA, BETA, FORMS, V2, resource, spec, transformation

NAMES = ("beside", "ways", "left", "chart", "shared")


def board(name: str) -> Json:
    """Return a dashboard of these tests that needs no feature that only the classic form has."""
    found = load(name)
    found = deepcopy(found.get("dashboard", found))
    for key in ("__inputs", "__requires", "__elements"):
        found.pop(key, None)
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [Options(), Options(datasource_uid="x", admin_auto=True, short_links=True)])
def test_it_is_rewritten_as_the_classic_form_is(name: str, form: str, options: Options) -> None:
    classic = migrate(board(name), options)
    made = migrate(resource(board(name), form), options)
    right = resource(classic.dashboard, form)
    assert made.dashboard["spec"]["elements"] == right["spec"]["elements"]
    assert made.dashboard == right
    assert sorted(map(str, made.findings)) == sorted(map(str, classic.findings))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_a_second_run_changes_nothing(name: str, form: str) -> None:
    first = migrate(resource(board(name), form))
    second = migrate(first.dashboard)
    assert second.dashboard == first.dashboard
    assert [str(finding) for finding in second.left] == [str(finding) for finding in first.left]


def _element(document: Json, title: str) -> Json:
    return next(e["spec"] for e in document["spec"]["elements"].values() if e["spec"]["title"] == title)


def _queries(document: Json) -> list[Json]:
    panels = [e["spec"] for e in document["spec"]["elements"].values() if e["kind"] == "Panel"]
    return [item["spec"]["query"] for one in panels for item in one["data"]["spec"]["queries"]]


def test_forms() -> None:
    made = {form: _element(migrate(resource(board("beside"), form)).dashboard, "Last day") for form in FORMS}
    queries = {form: made[form]["data"]["spec"]["queries"][0]["spec"] for form in FORMS}
    assert queries[V2] == queries[BETA]
    assert queries[V2]["query"]["group"] == CEEMS
    assert queries[V2]["query"]["datasource"] == {"name": "${ceems}"}
    assert queries[ALPHA]["query"]["kind"] == CEEMS
    assert queries[ALPHA]["datasource"] == {"type": CEEMS, "uid": "${ceems}"}
    assert {query["query"]["spec"]["queryType"] for query in queries.values()} == {"usage"}
    assert {part["data"]["spec"]["queryOptions"]["timeFrom"] for part in made.values()} == {"24h"}


def test_the_file_or_an_answer_of_the_api_may_hold_it() -> None:
    bare = migrate(spec(board("beside"), V2)).dashboard
    assert bare == migrate(resource(board("beside"), V2)).dashboard["spec"]
    answer = {"dashboard": resource(board("beside"), V2), "meta": {"x": 1}}
    assert migrate(answer).dashboard["dashboard"]["spec"] == bare
    access = resource(board("beside"), V2) | {"kind": "DashboardWithAccessInfo", "access": {"canEdit": True}}
    assert migrate(access).dashboard["spec"] == bare


def test_an_export_for_others_selects_our_data_source_by_a_variable() -> None:
    document = resource(board("beside"), V2)
    for query in _queries(document):
        query["labels"] = {"grafana.app/export-label": f"{query['group']}-1"}
        del query["datasource"]
    made = migrate(document).dashboard
    for query in _queries(made):
        if query["group"] == CEEMS:
            assert "labels" not in query
            assert query["datasource"] == {"name": "${ceems}"}
        else:
            assert query["labels"] == {"grafana.app/export-label": f"{query['group']}-1"}
    names = [variable["spec"]["name"] for variable in made["spec"]["variables"]]
    assert names.count("ceems") == 1


def test_variables_of_rows_and_tabs() -> None:
    document = resource(board("ways"), V2)
    moved = [v for v in document["spec"]["variables"] if v["kind"] == "QueryVariable"]
    document["spec"]["variables"] = [v for v in document["spec"]["variables"] if v["kind"] != "QueryVariable"]
    grid = document["spec"]["layout"]
    row = {"kind": "RowsLayoutRow", "spec": {"title": "r", "layout": grid, "variables": moved}}
    tab = {"kind": "TabsLayoutTab", "spec": {"layout": {"kind": "RowsLayout", "spec": {"rows": [row]}}}}
    document["spec"]["layout"] = {"kind": "TabsLayout", "spec": {"tabs": [tab]}}
    made = migrate(document)
    assert made.left == ()
    found = made.dashboard["spec"]["layout"]["spec"]["tabs"][0]["spec"]["layout"]["spec"]["rows"][0]["spec"][
        "variables"
    ]
    assert {v["spec"]["query"]["group"] for v in found} == {CEEMS}
    flat = migrate(resource(board("ways"), V2)).dashboard["spec"]["variables"]
    assert found == [v for v in flat if v["kind"] == "QueryVariable"]


def test_what_has_no_part_in_it_stays_as_it_was() -> None:
    document = resource(board("beside"), V2, anything={"a": [1]})
    part = _element(document, "Units and nodes")["data"]["spec"]
    odd = transformation({"id": "reduce", "options": {}}, V2) | {"note": "kept"}
    part["transformations"] = [*part.get("transformations", []), odd]
    foreign = deepcopy(part["queries"][1])
    made = migrate(document).dashboard
    after = _element(made, "Units and nodes")["data"]["spec"]
    assert after["queries"][0]["spec"]["query"]["group"] == CEEMS
    assert after["queries"][1] == foreign
    assert after["transformations"][-1] == odd
    assert made["spec"]["anything"] == {"a": [1]}
    assert made["spec"]["layout"] == document["spec"]["layout"]


def test_library_panels_are_named() -> None:
    document = resource(board("beside"), V2)
    shared = {"kind": "LibraryPanel", "spec": {"id": 99, "title": "Shared", "libraryPanel": {"uid": "u", "name": "n"}}}
    document["spec"]["elements"]["panel-99"] = shared
    made = migrate(document)
    assert made.dashboard["spec"]["elements"]["panel-99"] == shared
    assert [f.where for f in made.findings if f.what == "library panel"] == [
        "panel 'From the library'",
        "panel 'Shared'",
    ]


def test_only_the_named_infinity_data_source() -> None:
    document = resource(board("beside"), V2)
    assert migrate(document, Options(only_uids=("another",))).dashboard == document
    assert migrate(document, Options(only_uids=("rest-api",))).dashboard == migrate(document).dashboard


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(NAMES), st.sampled_from(FORMS), st.data())
def test_a_broken_dashboard_is_rewritten_or_refused(name: str, form: str, data: st.DataObject) -> None:
    document = resource(board(name), form)
    found = list(places(document))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(found))
        holder[key] = data.draw(any_json())
    before = deepcopy(document)
    try:
        first = migrate(document).dashboard
    except NotADashboardError:
        return
    assert document == before
    assert migrate(first).dashboard == first


def test_a_panel_that_cannot_be_rewritten_stays_whole() -> None:
    document = resource(board("left"), V2)
    made = migrate(document)
    left = {finding.where for finding in made.left}
    for name, element in document["spec"]["elements"].items():
        if f"panel '{element['spec']['title']}'" in left:
            assert made.dashboard["spec"]["elements"][name] == element
    assert any(INFINITY in str(e) for e in made.dashboard["spec"]["elements"].values())


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (
            {"apiVersion": "dashboard.grafana.app/v2", "kind": "Dashboard", "spec": {"title": "x"}},
            "no object 'elements'",
        ),
        ({"apiVersion": "dashboard.grafana.app/v2beta1", "kind": "Dashboard", "spec": {"panels": []}}, "'elements'"),
        ({"dashboard": {"apiVersion": "dashboard.grafana.app/v2alpha1", "spec": {"layout": {}}}}, "'elements'"),
        ({"spec": {"layout": {"kind": "GridLayout"}, "panels": []}}, "'elements'"),
        ({"spec": {"elements": []}}, "none of 'panels'"),
        ({"apiVersion": "dashboard.grafana.app/v3alpha0", "spec": {"elements": {}}}, "schema v3alpha0"),
        ({"kind": "LibraryPanel", "spec": {"elements": {}}}, "a LibraryPanel"),
    ],
)
def test_what_is_refused_as_a_whole(document: Any, words: str) -> None:
    with pytest.raises(NotADashboardError, match=words):
        migrate(document)


def test_the_panel_of_the_classic_form_is_found() -> None:
    """The comparison above is not empty: the classic form is rewritten."""
    assert panel(migrate(board("beside")).dashboard, "Last day")["targets"][0]["datasource"]["type"] == CEEMS

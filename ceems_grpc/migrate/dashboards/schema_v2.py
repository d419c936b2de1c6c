"""Dashboards of Grafana's schema v2, seen as classic ones: one code rewrites both.

`ClassicView` holds the parts that a migration reads. After it, only parts that changed are written back, so everything
else stays exactly as it was.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ceems_grpc.migrate.dashboards.v2_kinds import (
    classic_target,
    classic_transformation,
    classic_variable,
    is_grouped,
    make_transformation,
    make_variable,
    put_query,
    put_variable,
    reference_of,
)
from ceems_grpc.migrate.json_parts import as_object, as_text, objects
from ceems_grpc.migrate.report import Json

_UNGROUPED = ("dashboard.grafana.app/v2alpha", "dashboard.grafana.app/v2beta")

_BESIDE_SPEC = {"refId", "hide", "datasource"}


@dataclass(frozen=True, slots=True)
class _Part:
    """A panel or a variable: its ``spec`` or itself, the classic view, and a copy of the view from before."""

    original: Json
    view: Json
    before: Json


class ClassicView:
    """A dashboard of schema v2 (the ``spec`` of its resource) in the classic form. ``version``: the API version.

    ``dashboard`` may be changed as a classic dashboard is; `write_back` brings the changes into the given one.
    """

    def __init__(self, spec: Json, version: str = "") -> None:
        self._spec = spec
        panels = objects(list(as_object(spec.get("elements")).values()))
        self._panels = [_part(as_object(panel.get("spec")), _classic_panel(panel)) for panel in panels]
        variables = [*objects(spec.get("variables")), *_section_variables(spec.get("layout"))]
        self._variables = [_part(variable, classic_variable(variable)) for variable in variables]
        self._grouped = _grouped(panels, version)
        self.dashboard: Json = {
            "panels": [part.view for part in self._panels],
            "templating": {"list": [part.view for part in self._variables]},
            "annotations": {"list": [_classic_annotation(item) for item in objects(spec.get("annotations"))]},
        }

    def write_back(self) -> None:
        """Write what changed into the dashboard of schema v2."""
        for part in self._panels:
            if part.view != part.before:
                self._write_panel(part)
        known = {id(part.view) for part in self._variables}
        for part in self._variables:
            if part.view != part.before:
                put_variable(part.original, part.view)
        new = [make_variable(view) for view in self.dashboard["templating"]["list"] if id(view) not in known]
        if new:
            self._spec["variables"] = [*new, *_list(self._spec.get("variables"))]

    def _write_panel(self, part: _Part) -> None:
        view, before = part.view, part.before
        group = part.original["data"]["spec"]
        queries = objects(group.get("queries"))
        for item, old, made in zip(queries, before["targets"], view["targets"], strict=True):
            if made != old:
                spec = {key: value for key, value in made.items() if key not in _BESIDE_SPEC}
                put_query(item["spec"], spec, made["datasource"])
        if view.get("transformations") != before.get("transformations"):
            group["transformations"] = self._transformations(group.get("transformations"), view["transformations"])
        if view.get("timeFrom") != before.get("timeFrom"):
            group["queryOptions"] = as_object(group.get("queryOptions")) | {"timeFrom": view["timeFrom"]}
        if view.get("fieldConfig") != before.get("fieldConfig"):
            config = as_object(part.original.get("vizConfig"))
            config["spec"] = as_object(config.get("spec")) | {"fieldConfig": view["fieldConfig"]}
            part.original["vizConfig"] = config

    def _transformations(self, old: Any, steps: list[Json]) -> list[Json]:  # noqa: ANN401 - from the dashboard
        """Return the transformations. One that did not change is not written again, whatever it contains."""
        left = [(classic_transformation(item), item) for item in objects(old)]
        found: list[Json] = []
        for step in steps:
            place = next((place for place, (classic, _) in enumerate(left) if classic == step), None)
            found.append(make_transformation(step, grouped=self._grouped) if place is None else left.pop(place)[1])
        return found


def _part(original: Json, view: Json) -> _Part:
    return _Part(original, view, deepcopy(view))


def _classic_panel(element: Json) -> Json:
    spec = as_object(element.get("spec"))
    view: Json = {"id": spec.get("id"), "title": spec.get("title"), "targets": []}
    if element.get("kind") == "LibraryPanel":
        return view | {"libraryPanel": as_object(spec.get("libraryPanel"))}
    group = as_object(as_object(spec.get("data")).get("spec"))
    view["targets"] = [_target(item) for item in objects(group.get("queries"))]
    if isinstance(group.get("transformations"), list):
        view["transformations"] = [classic_transformation(item) for item in objects(group["transformations"])]
    if time_from := as_object(group.get("queryOptions")).get("timeFrom"):
        view["timeFrom"] = time_from
    config = as_object(as_object(as_object(spec.get("vizConfig")).get("spec")).get("fieldConfig"))
    return view | ({"fieldConfig": deepcopy(config)} if config else {})


def _target(item: Json) -> Json:
    holder = as_object(item.get("spec"))
    return deepcopy(classic_target(as_object(holder.get("query")), holder))


def _classic_annotation(item: Json) -> Json:
    spec = as_object(item.get("spec"))
    query = as_object(spec.get("query"))
    return {"name": spec.get("name"), "datasource": reference_of(query, spec), "target": query.get("spec")}


def _section_variables(layout: Any) -> Iterator[Json]:  # noqa: ANN401 - from the dashboard
    """Walk over the variables of rows and tabs, which may hold rows and tabs themselves."""
    spec = as_object(as_object(layout).get("spec"))
    for section in (*objects(spec.get("rows")), *objects(spec.get("tabs"))):
        inner = as_object(section.get("spec"))
        yield from objects(inner.get("variables"))
        yield from _section_variables(inner.get("layout"))


def _grouped(panels: list[Json], version: str) -> bool:
    """Return which form new transformations get: that of the others in the file, otherwise that of its version."""
    groups = (as_object(as_object(as_object(panel.get("spec")).get("data")).get("spec")) for panel in panels)
    forms = [is_grouped(item) for group in groups for item in objects(group.get("transformations"))]
    return forms[0] if forms else not as_text(version).startswith(_UNGROUPED)


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - from the dashboard
    return value if isinstance(value, list) else []

"""References to data sources: those of the rewritten parts, and the lists of plugins and inputs of a dashboard."""

import json
import re
from collections.abc import Iterator
from typing import Any

from ceems_grpc.migrate.json_parts import as_object, objects
from ceems_grpc.migrate.report import CEEMS, INFINITY, Json
from ceems_grpc.migrate.template_variables import VARIABLE, variable_name
from ceems_grpc.version import VERSION

NAME = "CEEMS"
_MIXED: Json = {"type": "datasource", "uid": "-- Mixed --"}


class References:
    """References to our data source. They are made while parts are rewritten, and get their uid when all are known.

    A dashboard that was exported for sharing asks for its data sources during import (``__inputs``); another may select
    them by a variable. Both are switched to our data source if nothing else needs them any more. A data source that is
    named by its uid is replaced by a variable, or by the uid that the caller gives.
    """

    def __init__(self, dashboard: Json, uid: str = "") -> None:
        self._dashboard = dashboard
        self._uid = uid
        self._made: list[tuple[Json, str]] = []
        self._inputs_in_use = {name for name in _input_names(dashboard) if _mentions(dashboard, name)}

    def make(self, old: Any) -> Json:  # noqa: ANN401 - a reference in any form that dashboards have
        """Return a reference in place of ``old``."""
        uid = old.get("uid") if isinstance(old, dict) else old
        reference: Json = {"type": CEEMS, "uid": ""}
        self._made.append((reference, uid if isinstance(uid, str) else ""))
        return reference

    def settle(self) -> None:
        """Give every reference its uid, and update the dashboard's lists of plugins and inputs."""
        if not self._made:
            return
        chosen = {old: self._uid or self._successor(old) for old in dict.fromkeys(old for _, old in self._made)}
        for reference, old in self._made:
            reference["uid"] = chosen[old]
        self._drop_unused_inputs()
        self._list_plugin()

    def _successor(self, old: str) -> str:
        name = variable_name(old)
        if name is not None and not _is_used_by_others(self._dashboard, name):
            for item in objects(self._dashboard.get("__inputs")):
                if item.get("name") == name and item.get("type") == "datasource":
                    item["pluginId"], item["pluginName"] = CEEMS, NAME
                    return old
            for variable in _variables(self._dashboard):
                if variable.get("name") == name and variable.get("type") == "datasource":
                    variable |= {"query": CEEMS, "regex": "", "current": {}, "options": []}
                    return old
        return f"${{{self._own_variable()}}}"

    def _own_variable(self) -> str:
        variables = _variables(self._dashboard)
        for variable in variables:
            if variable.get("type") == "datasource" and variable.get("query") == CEEMS:
                return str(variable["name"])
        taken = {str(variable.get("name")) for variable in variables}
        name = next(name for name in ("ceems", "ceems_datasource", "ceems_for_grafana") if name not in taken)
        variable = {
            "name": name,
            "label": NAME,
            "type": "datasource",
            "query": CEEMS,
            "refresh": 1,
            "hide": 0,
            "includeAll": False,
            "multi": False,
            "options": [],
            "regex": "",
            "current": {},
        }
        self._dashboard["templating"] = as_object(self._dashboard.get("templating")) | {"list": [variable, *variables]}
        return name

    def _drop_unused_inputs(self) -> None:
        """Remove inputs that nothing names any more: that of the data source, or one that selected an API path."""
        inputs = self._dashboard.get("__inputs")
        if isinstance(inputs, list):
            gone = {name for name in self._inputs_in_use if not _mentions(self._dashboard, name)}
            self._dashboard["__inputs"] = [item for item in objects(inputs) if str(item.get("name")) not in gone]

    def _list_plugin(self) -> None:
        requires = self._dashboard.get("__requires")
        if not isinstance(requires, list):
            return
        own = {"type": "datasource", "id": CEEMS, "name": NAME, "version": VERSION}
        needed = any(reference_type(item) == INFINITY for item in references(self._dashboard))
        listed: list[Json] = []
        for item in objects(requires):
            is_infinity = item.get("id") == INFINITY
            if is_infinity and needed:
                listed.append(item)
            if is_infinity and own not in listed:
                listed.append(own)
            if not is_infinity and item.get("id") != CEEMS:
                listed.append(item)
        self._dashboard["__requires"] = listed if own in listed else [*listed, own]


def reference_type(reference: Any) -> str:  # noqa: ANN401 - a reference in any form that dashboards have
    """Return the plugin that a reference names; empty if it names none."""
    return str(reference.get("type") or "") if isinstance(reference, dict) else ""


def references(part: Any) -> Iterator[Any]:  # noqa: ANN401 - any part of a dashboard
    """Walk over all references to data sources in a part of a dashboard."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "datasource":
                yield value
            elif key not in {"__inputs", "__requires"}:
                yield from references(value)
    elif isinstance(part, list):
        for item in part:
            yield from references(item)


def plugin_of(reference: Any, dashboard: Json) -> str:  # noqa: ANN401 - a reference in any form that dashboards have
    """Return the plugin of a reference, which may be only the name of an input or a variable; empty if unknown."""
    if found := reference_type(reference):
        return found
    uid = reference.get("uid") if isinstance(reference, dict) else reference
    match = VARIABLE.fullmatch(uid) if isinstance(uid, str) else None
    name = variable_name(uid) if isinstance(uid, str) and match else None
    for item in objects(dashboard.get("__inputs")):
        if name and item.get("name") == name:
            return str(item.get("pluginId") or "")
    for variable in _variables(dashboard):
        if name and variable.get("name") == name and variable.get("type") == "datasource":
            return str(variable.get("query") or "")
    return ""


def mixed() -> Json:
    """Return the reference of panels whose targets have different data sources."""
    return dict(_MIXED)


def _input_names(dashboard: Json) -> list[str]:
    return [str(item.get("name")) for item in objects(dashboard.get("__inputs"))]


def _mentions(dashboard: Json, name: str) -> bool:
    """Return whether an input is used anywhere in a dashboard."""
    text = json.dumps({key: value for key, value in dashboard.items() if key not in {"__inputs", "__requires"}})
    return re.search(rf"\$\{{{re.escape(name)}[:.}}]|\${re.escape(name)}\b", text) is not None


def _variables(dashboard: Json) -> list[Json]:
    return objects(as_object(dashboard.get("templating")).get("list"))


def _is_used_by_others(dashboard: Json, name: str) -> bool:
    for reference in references(dashboard):
        uid = reference.get("uid") if isinstance(reference, dict) else reference
        if reference_type(reference) != CEEMS and isinstance(uid, str) and variable_name(uid) == name:
            return True
    return False

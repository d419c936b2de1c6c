"""The kinds of Grafana's dashboard schema v2 that are rewritten: queries, transformations, variables, references.

There are three forms. ``v2alpha1`` names the plugin in ``kind`` of a query and refers to a data source beside it. Later
versions name it in ``group`` and refer by ``datasource.name``. ``v2`` names a transformation in ``group`` too.
"""

from typing import Any

from ceems_grpc.migrate.json_parts import as_object, as_text
from ceems_grpc.migrate.report import CEEMS, Json

_QUERY = "DataQuery"
_TRANSFORMATION = "Transformation"
_NOTHING = {"text": "", "value": ""}


def reference_of(query: Json, holder: Json) -> Json:
    """Return the reference of a query in the classic form. ``holder``: what the query is part of.

    A query without a data source asks the default one of its plugin: the ``uid`` is then empty.
    """
    if query.get("kind") == _QUERY or "group" in query:
        return {"type": as_text(query.get("group")), "uid": as_text(as_object(query.get("datasource")).get("name"))}
    old = as_object(holder.get("datasource"))
    return {"type": as_text(query.get("kind")) or as_text(old.get("type")), "uid": as_text(old.get("uid"))}


def classic_target(query: Json, holder: Json) -> Json:
    """Return a query of a panel (``holder`` is its ``spec``) as a classic target."""
    own = {
        "refId": holder.get("refId"),
        "hide": bool(holder.get("hidden")),
        "datasource": reference_of(query, holder),
    }
    return as_object(query.get("spec")) | own


def put_query(holder: Json, spec: Json, reference: Json) -> None:
    """Write the ``spec`` of a rewritten query into what the query is part of, in the form that the old one had.

    The old query's label for the export goes: the importer would ask for a data source of the old plugin.
    """
    old = holder["query"]
    if old.get("kind") == _QUERY or "group" in old:
        kept = {key: value for key, value in old.items() if key != "labels"}
        holder["query"] = kept | {"group": CEEMS, "datasource": {"name": reference["uid"]}, "spec": spec}
    else:
        holder["query"] = old | {"kind": CEEMS, "spec": spec}
        holder["datasource"] = dict(reference)


def classic_transformation(item: Json) -> Json:
    """Return a transformation in the classic form."""
    kind = as_text(item.get("group") if item.get("kind") == _TRANSFORMATION else item.get("kind"))
    return {"id": kind} | as_object(item.get("spec"))


def is_grouped(item: Json) -> bool:
    """Return whether a transformation has the form of ``v2``."""
    return item.get("kind") == _TRANSFORMATION


def make_transformation(step: Json, *, grouped: bool) -> Json:
    """Return a classic transformation in the form of ``v2`` (``grouped``), or of the versions before."""
    if grouped:
        spec = {key: value for key, value in step.items() if key != "id"}
        return {"kind": _TRANSFORMATION, "group": step["id"], "spec": spec}
    return {"kind": step["id"], "spec": step}


def classic_variable(variable: Json) -> Json:
    """Return what a migration reads of a variable, in the classic form."""
    spec, kind = as_object(variable.get("spec")), as_text(variable.get("kind"))
    if kind == "DatasourceVariable":
        return {"name": spec.get("name"), "type": "datasource", "query": spec.get("pluginId")}
    if kind == "QueryVariable":
        query = as_object(spec.get("query"))
        found = {"name": spec.get("name"), "type": "query", "query": query.get("spec")}
        return found | {"datasource": reference_of(query, spec)}
    return {"name": spec.get("name"), "type": kind, "datasource": reference_of(variable, spec)}


def put_variable(variable: Json, made: Json) -> None:
    """Write what a migration changed of a variable."""
    spec = variable["spec"]
    if made["type"] == "datasource":
        spec |= {"pluginId": made["query"], "regex": "", "current": _NOTHING.copy(), "options": []}
    else:
        put_query(spec, made["query"], made["datasource"])


def make_variable(made: Json) -> Json:
    """Return a new variable that selects a data source."""
    spec: dict[str, Any] = {
        "name": made["name"],
        "label": made["label"],
        "pluginId": made["query"],
        "refresh": "onDashboardLoad",
        "regex": "",
        "current": _NOTHING.copy(),
        "options": [],
        "multi": False,
        "includeAll": False,
        "hide": "dontHide",
        "skipUrlSync": False,
        "allowCustomValue": True,
    }
    return {"kind": "DatasourceVariable", "spec": spec}

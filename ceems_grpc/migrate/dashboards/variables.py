"""Query variables: lists that Infinity read from the API become suggestions of our data source."""

from typing import Any

from ceems_grpc.migrate.json_parts import objects
from ceems_grpc.migrate.queries.api_call import ApiCall, read_call
from ceems_grpc.migrate.queries.draft import draft_query
from ceems_grpc.migrate.queries.fields import field_name
from ceems_grpc.migrate.queries.row_selector import rows_of
from ceems_grpc.migrate.report import CannotRewriteError, Json

_KINDS = {
    ("users", "name"): "users",
    ("users", "cluster_id"): "clusters",
    ("users", "resource_manager"): "resource-managers",
    ("users", "projects"): "projects",
    ("projects", "name"): "projects",
    ("projects", "cluster_id"): "clusters",
    ("projects", "resource_manager"): "resource-managers",
    ("projects", "users"): "users",
    ("clusters", "id"): "clusters",
    ("clusters", "manager"): "resource-managers",
    ("stats", "cluster_id"): "clusters",
    ("stats", "resource_manager"): "resource-managers",
    ("units", "uuid"): "uuids",
    ("units", "state"): "states",
    ("units", "project"): "projects",
    ("units", "username"): "users",
    ("units", "cluster_id"): "clusters",
    ("units", "resource_manager"): "resource-managers",
    ("usage", "project"): "projects",
    ("usage", "username"): "users",
    ("usage", "cluster_id"): "clusters",
    ("usage", "resource_manager"): "resource-managers",
}
_NARROWED_BY = {
    "users": ("clusters", "projects"),
    "projects": ("clusters", "users"),
    "clusters": ("projects", "users"),
    "resource-managers": ("projects", "users"),
    "uuids": ("clusters", "projects", "users"),
    "states": ("clusters", "projects", "users"),
}


def infinity_query(variable: Json) -> Json | None:
    """Return the Infinity query of a query variable, if it has one."""
    query = variable.get("query")
    if variable.get("type") != "query" or not isinstance(query, dict):
        return None
    inner = query.get("infinityQuery") if query.get("queryType", "infinity") == "infinity" else None
    return inner if isinstance(inner, dict) else None


def rewrite_variable_query(query: Json, *, admin_auto: bool = False) -> tuple[Json, list[str]] | None:
    """Rewrite the Infinity query of a variable; None if it does not read the CEEMS API.

    Returns the variable query and notes. Raises `CannotRewriteError`.
    """
    call = read_call(query)
    if call is None:
        return None
    draft = draft_query(call, admin_auto=admin_auto)
    rows = rows_of(query)
    if rows.condition is not None or rows.limit:
        raise CannotRewriteError("it keeps only some of the values")
    columns = query.get("columns") if rows.columns is None else rows.columns
    names = _value_names(columns, rows.path)
    kind = _kind(call, names)
    found: Json = {"refId": "variable", "kind": kind, "admin": draft.query.get("admin", False)}
    chosen = draft.query
    for key in _NARROWED_BY[kind]:
        if chosen.get(key):
            found[key] = chosen[key]
    for key in ("clusters", "projects", "users", "uuids"):
        if chosen.get(key) and key not in found and key != kind:
            raise CannotRewriteError(f"{kind} cannot be narrowed by {key}")
    notes = draft.notes
    if call.query_type in {"units", "usage"} and kind not in {"uuids", "states"}:
        notes.append(f"it listed the {kind} of units in the time range; it lists all {kind} now")
    if kind == "users" and found["admin"] is not True:
        notes.append("users who are not administrators find the members of their projects in it, not only themselves")
    return found, notes


def _value_names(columns: Any, path: str) -> list[str]:  # noqa: ANN401 - from the dashboard
    found = [c for c in objects(columns) if c.get("selector")]
    if path:
        if any(field_name(str(column["selector"])) not in {"$", path} for column in found):
            raise CannotRewriteError(f"it takes columns of the '{path}' inside each row")
        return [path]
    # Grafana takes the value from the column __value, otherwise from the second column.
    marked = [column for column in found if column.get("text") == "__value"]
    return [field_name(str(column["selector"])) for column in (marked or found[-1:])]


def _kind(call: ApiCall, names: list[str]) -> str:
    asked = names or list(dict.fromkeys(call.values("field")))
    if len(asked) != 1:
        raise CannotRewriteError("it does not say which one column holds the values")
    kind = _KINDS.get((call.query_type, asked[0]))
    if kind is None:
        raise CannotRewriteError(f"there is no list of '{asked[0]}' of {call.query_type}")
    return kind

"""The parameters of a request as keys of a query: users, rows, time range."""

import re
from dataclasses import dataclass, field

from ceems_grpc.domain.questions.model import AsAdmin
from ceems_grpc.migrate.queries.api_call import ApiCall
from ceems_grpc.migrate.report import CannotRewriteError, Json
from ceems_grpc.migrate.template_variables import has_variable, is_variable, variable_name, without_formats
from ceems_grpc.schema import GROUPS

_LISTS = {"cluster_id": "clusters", "project": "projects", "user": "users", "uuid": "uuids"}
_KNOWN = {*_LISTS, "from", "to", "running", "field", "timezone", "groupby", "experimental"}
_DAY = "24h"


@dataclass(slots=True)
class QueryDraft:
    """A query without its fields. ``time_from``: the relative time range that the request implies, if any."""

    query: Json
    time_from: str | None = None
    notes: list[str] = field(default_factory=list)


def draft_query(call: ApiCall, *, admin_auto: bool) -> QueryDraft:
    """Turn a request into a query. ``admin_auto``: ask as an administrator only if the user is one."""
    unknown = sorted({name for name, _ in call.parameters} - _KNOWN)
    if unknown:
        raise CannotRewriteError(f"parameter '{unknown[0]}' is not one that a query knows")
    draft = QueryDraft({"queryType": call.query_type})
    query = draft.query
    if call.mode:
        query["mode"] = without_formats(call.mode)
    admin: AsAdmin = "auto" if admin_auto and call.admin else call.admin
    if admin:
        query["admin"] = admin
    for parameter, key in _LISTS.items():
        values = [without_formats(value) for value in call.values(parameter)]
        if values and _counts(parameter, call, admin, draft.notes):
            query[key] = list(dict.fromkeys(values))
    if call.query_type == "units" and call.has("running"):
        query["running"] = True
    if call.query_type == "usage":
        _usage(call, draft)
    if zone := next(iter(call.values("timezone")), ""):
        _timezone(zone, draft)
    _window(call, draft)
    return draft


def _counts(parameter: str, call: ApiCall, admin: AsAdmin, notes: list[str]) -> bool:
    """Return whether the API uses the parameter here."""
    if parameter == "cluster_id":
        return call.query_type != "clusters"
    if parameter == "uuid":
        return call.query_type == "units"
    if parameter == "project":
        return call.query_type in {"units", "usage", "projects"}
    if parameter == "user":
        if call.query_type in {"stats", "clusters"} or admin is False:
            return False  # the API then answers for whoever is signed in
        if call.query_type == "usage" and admin == "auto":
            # The API means all members of the user's projects. Users who are not administrators see all members of
            # the project they ask for; our own narrowing to the named user would hide the others from them.
            if call.values("project"):
                return False
            notes.append("users who are not administrators see only their own rows, not those of their projects")
    return True


def _usage(call: ApiCall, draft: QueryDraft) -> None:
    if "," in "".join(call.values("groupby")):
        raise CannotRewriteError("'groupby' holds several names in one value")
    groups = [without_formats(value) for value in call.values("groupby")]
    wrong = next((name for name in groups if name not in GROUPS and not has_variable(name)), None)
    if wrong is not None:
        raise CannotRewriteError(f"usage cannot be grouped by '{wrong}'")
    if groups and call.mode != "global":
        draft.query["groupBy"] = list(dict.fromkeys(groups))
    if call.has("experimental") and call.mode != "global":
        draft.query["source"] = "daily"


def _timezone(zone: str, draft: QueryDraft) -> None:
    # Times are instants and shown in the dashboard's zone, so the dashboard's own zone need not be said.
    if variable_name(zone) != "__timezone":
        draft.query["timezone"] = without_formats(zone)
        draft.notes.append("times are shown in the time zone of the dashboard, whatever 'timezone' says")


def _window(call: ApiCall, draft: QueryDraft) -> None:
    has_window = call.query_type in {"units", "usage", "stats"} and call.mode != "global" and not call.values("uuid")
    if not has_window:
        return
    for name in ("from", "to"):
        for value in call.values(name):
            if not (is_variable(value) and re.match(r"\$\{?__" + name, value)):
                raise CannotRewriteError(f"'{name}' is '{value}', not the time range of the panel")
    if not call.values("from") and not call.values("to"):
        draft.time_from = _DAY
    elif not call.values("from"):
        draft.notes.append("the request had no 'from' (24 hours before 'to'); the query takes the panel's time range")

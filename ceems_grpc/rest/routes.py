"""The route table of the CEEMS API. The router and the OpenAPI document both read it."""

from functools import cache

from ceems_grpc.domain.answers.suggestions import MOST, SuggestionKind
from ceems_grpc.grafana import ResourceResponse
from ceems_grpc.rest.handlers.demo import demo_units, demo_usage
from ceems_grpc.rest.handlers.directory import clusters, projects, users, verify
from ceems_grpc.rest.handlers.status import health
from ceems_grpc.rest.handlers.suggestions import suggestions
from ceems_grpc.rest.handlers.units import units
from ceems_grpc.rest.handlers.usage import current_stats, current_usage, global_stats, global_usage
from ceems_grpc.rest.openapi import openapi_document
from ceems_grpc.rest.responses import HEADERS
from ceems_grpc.rest.route import ApiCall, Audience, Content, Parameter, ParameterKind, Route
from ceems_grpc.rest.row_shapes import (
    CLUSTER_SHAPE,
    CURRENT_USAGE_SHAPE,
    PROJECT_SHAPE,
    STATS_SHAPE,
    UNIT_SHAPE,
    USAGE_SHAPE,
    USER_SHAPE,
)

_ANYBODY, _USER, _ADMIN = Audience.ANYBODY, Audience.USER, Audience.ADMIN
_TEXT, _TEXTS, _MOMENT, _SWITCH = ParameterKind.TEXT, ParameterKind.TEXTS, ParameterKind.MOMENT, ParameterKind.SWITCH

_CLUSTER = Parameter("cluster_id", _TEXTS, "Only these clusters")
_PROJECT = Parameter("project", _TEXTS, "Only these projects")
_LOGIN = Parameter("user", _TEXTS, "Only these users")
_UUID = Parameter("uuid", _TEXTS, "Only these units, at any time")
_FIELD = Parameter("field", _TEXTS, "Only these fields; unknown fields are ignored if at least one is known")
_FROM = Parameter("from", _MOMENT, "Start of the window; by default 24 h before its end")
_TO = Parameter("to", _MOMENT, "End of the window; by default now")
_RUNNING = Parameter("running", _SWITCH, "Also units that have not ended")
_TIMEZONE = Parameter("timezone", _TEXT, "IANA zone in which times are written; an unknown zone is ignored")
_GROUPBY = Parameter(
    "groupby", _TEXTS, "Group by these as well as by username and project: cluster_id, resource_manager, groupname"
)
_EXPERIMENTAL = Parameter("experimental", _SWITCH, "Sum the rows of daily_usage instead of units")
_ROLE = Parameter("role", _TEXT, "admin: the administrators")
_UUIDS = Parameter("uuid", _TEXTS, "Units to check")

_UNITS = (_CLUSTER, _UUID, _PROJECT, _RUNNING, _FROM, _TO, _FIELD, _TIMEZONE)
_USAGE = (_CLUSTER, _PROJECT, _FROM, _TO, _FIELD, _GROUPBY, _EXPERIMENTAL)
_GLOBAL = (_CLUSTER, _PROJECT, _FIELD)
_SUGGEST = (
    Parameter("prefix", _TEXT, "How values start; case is ignored"),
    Parameter("search", _TEXT, "Words that values or their descriptions contain; case is ignored"),
    Parameter("limit", ParameterKind.COUNT, f"How many suggestions to return, up to {MOST}; by default 100"),
    _CLUSTER,
    _PROJECT,
    _LOGIN,
    Parameter(
        "column",
        _TEXT,
        "For metric-keys the metric, for tag-values the column or column.key, for fields the query type",
    ),
    Parameter(
        "admin",
        ParameterKind.ADMIN,
        "true: as an administrator; false: as the signed-in user; auto: as an administrator if the user is one",
    ),
)


def _suggestions(kind: SuggestionKind) -> Route:
    return Route(
        f"suggest/{kind}",
        f"suggest-{kind}",
        suggestions(kind),
        _USER,
        f"Suggestions for drop-downs: {kind}",
        _SUGGEST,
        content=Content.SUGGESTIONS,
        may_forbid=True,
    )


async def _openapi(call: ApiCall) -> ResourceResponse:
    return ResourceResponse(200, HEADERS, _document())


@cache
def _document() -> bytes:
    return openapi_document(ROUTES)


ROUTES: tuple[Route, ...] = (
    Route(
        "health",
        "health",
        health,
        _ANYBODY,
        "Whether the database answers",
        content=Content.TEXT,
        reads_query=False,
    ),
    Route("demo/units", "demo-units", demo_units, _ANYBODY, "Random units", (), UNIT_SHAPE),
    Route("demo/usage", "demo-usage", demo_usage, _ANYBODY, "Random usage", (), USAGE_SHAPE),
    Route("users", "users", users, _USER, "The signed-in user on each cluster", (_CLUSTER,), USER_SHAPE),
    Route("users/admin", "users", users, _ADMIN, "Users", (_CLUSTER, _LOGIN, _ROLE), USER_SHAPE),
    Route(
        "projects", "projects", projects, _USER, "Projects of the signed-in user", (_CLUSTER, _PROJECT), PROJECT_SHAPE
    ),
    Route("projects/admin", "projects", projects, _ADMIN, "Projects", (_CLUSTER, _PROJECT), PROJECT_SHAPE),
    Route("units", "units", units, _USER, "Units of the signed-in user", _UNITS, UNIT_SHAPE, streamed=True),
    Route("units/admin", "units", units, _ADMIN, "Units of all users", (*_UNITS, _LOGIN), UNIT_SHAPE, streamed=True),
    Route(
        "units/verify",
        "verify",
        verify,
        _USER,
        "Whether all these units belong to projects of the signed-in user on these clusters",
        (_CLUSTER, _UUIDS),
        content=Content.NULL,
        may_forbid=True,
    ),
    Route("usage/current", "usage-current", current_usage, _USER, "Usage within a window", _USAGE, CURRENT_USAGE_SHAPE),
    Route(
        "usage/current/admin",
        "usage-current",
        current_usage,
        _ADMIN,
        "Usage of all users within a window",
        (*_USAGE, _LOGIN),
        CURRENT_USAGE_SHAPE,
    ),
    Route("usage/global", "usage-global", global_usage, _USER, "Usage at any time", _GLOBAL, USAGE_SHAPE),
    Route(
        "usage/global/admin",
        "usage-global",
        global_usage,
        _ADMIN,
        "Usage of all users at any time",
        (*_GLOBAL, _LOGIN),
        USAGE_SHAPE,
    ),
    Route(
        "stats/current/admin",
        "stats-current",
        current_stats,
        _ADMIN,
        "Counts per cluster within a window",
        (_CLUSTER, _FROM, _TO),
        STATS_SHAPE,
    ),
    Route("stats/global/admin", "stats-global", global_stats, _ADMIN, "Counts per cluster", (_CLUSTER,), STATS_SHAPE),
    Route(
        "clusters",
        "clusters",
        clusters,
        _USER,
        "Clusters on which the signed-in user has a project",
        (),
        CLUSTER_SHAPE,
    ),
    Route("clusters/admin", "clusters", clusters, _ADMIN, "All clusters", (), CLUSTER_SHAPE),
    *map(_suggestions, SuggestionKind),
    Route("openapi.json", "openapi", _openapi, _ANYBODY, "This document", content=Content.DOCUMENT),
)

"""The endpoints of the CEEMS API: what each takes and answers. The router and the OpenAPI document both read this."""

from dataclasses import dataclass
from enum import StrEnum

from ceems_grpc.domain.answers.suggestions import MOST, SuggestionKind
from ceems_grpc.domain.columns import (
    CLUSTER_COLUMNS,
    PROJECT_COLUMNS,
    STATS_COLUMNS,
    UNIT_COLUMNS,
    USAGE_COLUMNS,
    USER_COLUMNS,
)
from ceems_grpc.rest.json_shapes import Shape

UNIT_SHAPE = Shape(
    UNIT_COLUMNS,
    always=frozenset({"uuid"}),
    numbers=frozenset({"created_at_ts", "started_at_ts", "ended_at_ts"}),
)
_USAGE_KEYS = frozenset({"cluster_id", "resource_manager", "num_units", "project", "groupname", "username"})
USAGE_SHAPE = Shape(USAGE_COLUMNS, always=_USAGE_KEYS, numbers=frozenset({"num_units"}))
STATS_SHAPE = Shape(
    STATS_COLUMNS,
    always=frozenset(column.name for column in STATS_COLUMNS),
    numbers=frozenset(column.name for column in STATS_COLUMNS if column.name.startswith("num_")),
)
_LISTS = frozenset({"projects", "users", "tags"})
USER_SHAPE = Shape(USER_COLUMNS, always=frozenset({"cluster_id", "name"}), lists=_LISTS)
PROJECT_SHAPE = Shape(
    PROJECT_COLUMNS, always=frozenset({"cluster_id", "resource_manager", "name", "users"}), lists=_LISTS
)
CLUSTER_SHAPE = Shape(CLUSTER_COLUMNS, always=frozenset({"id", "manager"}))


class Access(StrEnum):
    """Who may call an endpoint."""

    ANYBODY = "anybody"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter.

    ``kind``: ``texts`` (repeatable), ``text``, ``moment`` (seconds or ms), ``switch`` (any value or none), ``count``
    (of suggestions), ``choice`` (true, false, auto).
    """

    name: str
    kind: str
    description: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path of the API. ``question``: which question it asks; ``shape``: how rows are written (None: no rows)."""

    path: str
    question: str
    access: Access
    summary: str
    parameters: tuple[Parameter, ...] = ()
    shape: Shape | None = None

    def takes(self, name: str) -> bool:
        """Tell whether the endpoint has that query parameter; others are passed over."""
        return any(parameter.name == name for parameter in self.parameters)

    @property
    def as_admin(self) -> bool:
        """Tell whether the question is asked as an administrator."""
        return self.access is Access.ADMIN


_CLUSTER = Parameter("cluster_id", "texts", "Only these clusters")
_PROJECT = Parameter("project", "texts", "Only these projects")
_USER = Parameter("user", "texts", "Only these users")
_UUID = Parameter("uuid", "texts", "Only these units, at any time")
_FIELD = Parameter("field", "texts", "Only these fields; unknown ones beside known ones are ignored")
_FROM = Parameter("from", "moment", "Start of the window; by default 24 h before its end")
_TO = Parameter("to", "moment", "End of the window; by default now")
_RUNNING = Parameter("running", "switch", "Also units that have not ended")
_TIMEZONE = Parameter("timezone", "text", "IANA zone in which times are written; an unknown one changes nothing")
_GROUPBY = Parameter(
    "groupby", "texts", "Group by these beside username and project: cluster_id, resource_manager, groupname"
)
_EXPERIMENTAL = Parameter("experimental", "switch", "Sum the rows of daily_usage instead of units")
_ROLE = Parameter("role", "text", "admin: the administrators")

_UNITS = (_CLUSTER, _UUID, _PROJECT, _RUNNING, _FROM, _TO, _FIELD, _TIMEZONE)
_USAGE = (_CLUSTER, _PROJECT, _FROM, _TO, _FIELD, _GROUPBY, _EXPERIMENTAL)
_GLOBAL = (_CLUSTER, _PROJECT, _FIELD)

_SUGGEST = (
    Parameter("prefix", "text", "How values start, case ignored"),
    Parameter("limit", "count", f"At most so many, up to {MOST}; by default 100"),
    _CLUSTER,
    _PROJECT,
    _USER,
    Parameter(
        "column", "text", "Of metric-keys the metric, of tag-values the column or column.key, of fields the query type"
    ),
    Parameter("admin", "choice", "true: as an administrator, false: as oneself, auto: as whichever one is"),
)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("health", "health", Access.ANYBODY, "Whether the database answers"),
    Endpoint("demo/units", "demo-units", Access.ANYBODY, "Random units with the shape of real ones", (), UNIT_SHAPE),
    Endpoint("demo/usage", "demo-usage", Access.ANYBODY, "Random usage with the shape of real one", (), USAGE_SHAPE),
    Endpoint("users", "users", Access.USER, "The signed-in user on each cluster", (_CLUSTER,), USER_SHAPE),
    Endpoint("users/admin", "users", Access.ADMIN, "Users", (_CLUSTER, _USER, _ROLE), USER_SHAPE),
    Endpoint(
        "projects", "projects", Access.USER, "Projects of the signed-in user", (_CLUSTER, _PROJECT), PROJECT_SHAPE
    ),
    Endpoint("projects/admin", "projects", Access.ADMIN, "Projects", (_CLUSTER, _PROJECT), PROJECT_SHAPE),
    Endpoint("units", "units", Access.USER, "Units of the signed-in user", _UNITS, UNIT_SHAPE),
    Endpoint("units/admin", "units", Access.ADMIN, "Units of anybody", (*_UNITS, _USER), UNIT_SHAPE),
    Endpoint(
        "units/verify",
        "verify",
        Access.USER,
        "Whether all these units belong to projects of the signed-in user on these clusters",
        (_CLUSTER, Parameter("uuid", "texts", "Units to check")),
    ),
    Endpoint("usage/current", "usage-current", Access.USER, "Usage within a window", _USAGE, USAGE_SHAPE),
    Endpoint("usage/current/admin", "usage-current", Access.ADMIN, "Anybody's usage", (*_USAGE, _USER), USAGE_SHAPE),
    Endpoint("usage/global", "usage-global", Access.USER, "Usage over everything", _GLOBAL, USAGE_SHAPE),
    Endpoint("usage/global/admin", "usage-global", Access.ADMIN, "Anybody's usage", (*_GLOBAL, _USER), USAGE_SHAPE),
    Endpoint(
        "stats/current/admin",
        "stats-current",
        Access.ADMIN,
        "Counts per cluster within a window",
        (_CLUSTER, _FROM, _TO),
        STATS_SHAPE,
    ),
    Endpoint("stats/global/admin", "stats-global", Access.ADMIN, "Counts per cluster", (_CLUSTER,), STATS_SHAPE),
    Endpoint(
        "clusters", "clusters", Access.USER, "Clusters on which the signed-in user has a project", (), CLUSTER_SHAPE
    ),
    Endpoint("clusters/admin", "clusters", Access.ADMIN, "All clusters", (), CLUSTER_SHAPE),
    *(
        Endpoint(f"suggest/{kind}", f"suggest-{kind}", Access.USER, f"Suggestions for drop-downs: {kind}", _SUGGEST)
        for kind in SuggestionKind
    ),
    Endpoint("openapi.json", "openapi", Access.ANYBODY, "This document"),
)

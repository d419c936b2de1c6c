"""The shapes of the API's rows: which keys a row always has, and which keys hold numbers and lists."""

from ceems_grpc.domain.columns import (
    CLUSTER_COLUMNS,
    PROJECT_COLUMNS,
    STATS_COLUMNS,
    UNIT_COLUMNS,
    USAGE_COLUMNS,
    USER_COLUMNS,
)
from ceems_grpc.rest.json_shapes import Shape

_LISTS = frozenset({"projects", "users", "tags"})

UNIT_SHAPE = Shape(
    UNIT_COLUMNS,
    always=frozenset({"uuid"}),
    numbers=frozenset({"created_at_ts", "started_at_ts", "ended_at_ts"}),
)
USAGE_SHAPE = Shape(
    USAGE_COLUMNS,
    always=frozenset({"cluster_id", "resource_manager", "num_units", "project", "groupname", "username"}),
    numbers=frozenset({"num_units"}),
)
STATS_SHAPE = Shape(
    STATS_COLUMNS,
    always=frozenset(column.name for column in STATS_COLUMNS),
    numbers=frozenset(column.name for column in STATS_COLUMNS if column.name.startswith("num_")),
)
USER_SHAPE = Shape(USER_COLUMNS, always=frozenset({"cluster_id", "name"}), lists=_LISTS)
PROJECT_SHAPE = Shape(
    PROJECT_COLUMNS, always=frozenset({"cluster_id", "resource_manager", "name", "users"}), lists=_LISTS
)
CLUSTER_SHAPE = Shape(CLUSTER_COLUMNS, always=frozenset({"id", "manager"}))

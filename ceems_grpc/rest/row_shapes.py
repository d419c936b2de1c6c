"""The shapes of the API's rows: their columns, and the keys that a row always has."""

from dataclasses import replace

from ceems_grpc.domain.columns import (
    CLUSTER_COLUMNS,
    PROJECT_COLUMNS,
    STATS_COLUMNS,
    UNIT_COLUMNS,
    USAGE_COLUMNS,
    USER_COLUMNS,
)
from ceems_grpc.rest.json_shapes import Shape

UNIT_SHAPE = Shape(UNIT_COLUMNS, always=frozenset({"uuid"}))
USAGE_SHAPE = Shape(
    USAGE_COLUMNS,
    always=frozenset({"cluster_id", "resource_manager", "num_units", "project", "groupname", "username"}),
)
CURRENT_USAGE_SHAPE = replace(USAGE_SHAPE, same_keys=True)
STATS_SHAPE = Shape(STATS_COLUMNS, always=frozenset(column.name for column in STATS_COLUMNS))
USER_SHAPE = Shape(USER_COLUMNS, always=frozenset({"cluster_id", "name"}))
PROJECT_SHAPE = Shape(PROJECT_COLUMNS, always=frozenset({"cluster_id", "resource_manager", "name", "users"}))
CLUSTER_SHAPE = Shape(CLUSTER_COLUMNS, always=frozenset({"id", "manager"}))

"""Every column of CEEMS is described once, as each version of the schema has it; others are typed by their names."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ceems_grpc.demo.schema import LATEST_VERSION
from ceems_grpc.schema import (
    COLUMNS,
    GROUPS,
    INTEGERS,
    LISTS,
    METRIC_TABLES,
    METRICS,
    NEWEST_VERSION,
    OBJECTS,
    OLDEST_VERSION,
    TIMES,
    WEIGHTS,
    Aggregation,
    Column,
    Kind,
    Table,
    Type,
    Unit,
    column_named,
    is_metric,
)
from tests.model.derived import WEIGHTS as WEIGHTS_OF_THE_MODEL
from tests.support.ceems_schema import create_schema

# The version of the schema that introduced each table.
TABLE_VERSIONS = {
    Table.UNITS: 1,
    Table.USAGE: 2,
    Table.USERS: 3,
    Table.PROJECTS: 4,
    Table.ADMIN_USERS: 5,
    Table.DAILY_USAGE: 7,
}
RECORDED = Path(__file__).parent / "golden" / "synthetic.db"
ALL = [column for columns in COLUMNS.values() for column in columns.values()]


@pytest.mark.parametrize("version", range(1, LATEST_VERSION + 1))
def test_each_version_has_the_columns_that_are_said_to_be_in_it(version: int) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        create_schema(connection, version)
        held = _types(connection)
    described = {
        table: {
            column.name: "integer" if column.type is Type.INTEGER else "text"
            for column in columns.values()
            if column.since <= version <= (column.until or version)
        }
        for table, columns in COLUMNS.items()
        if TABLE_VERSIONS[table] <= version
    }
    assert described == held


def test_every_recorded_column_is_described() -> None:
    with closing(sqlite3.connect(f"file:{RECORDED}?immutable=1", uri=True)) as connection:
        held = _types(connection)
        assert held.keys() == set(Table)
        for table, types in held.items():
            for name, type_ in types.items():
                column = COLUMNS[table][name]
                assert column.until is None
                assert (column.type is Type.INTEGER) == (type_ == "integer")
                first = {"{": Type.OBJECT, "[": Type.LIST}
                found = {first.get(str(text)[:1]) for (text,) in connection.execute(f"SELECT {name} FROM {table}")}
                assert found - {None} <= {column.type}, name


def test_versions_are_those_of_the_demonstration() -> None:
    assert NEWEST_VERSION == LATEST_VERSION
    assert TABLE_VERSIONS.keys() == set(Table)
    assert TABLE_VERSIONS[Table.PROJECTS] == OLDEST_VERSION


def test_a_name_means_the_same_type_wherever_stores_go_by_the_name_alone() -> None:
    types: dict[str, set[bool]] = {}
    for column in ALL:
        types.setdefault(column.name, set()).add(column.type is Type.INTEGER)
        assert (column.kind is Kind.METRIC) == is_metric(column.name)
    assert all(len(found) == 1 for found in types.values())
    assert {name for name, found in types.items() if found == {True}} == INTEGERS


def test_each_row_says_what_its_kind_needs() -> None:
    for column in ALL:
        assert column.description[:1].isupper() or column.name == "ignore"
        if column.kind is Kind.METRIC:
            assert column.tables == METRIC_TABLES
            assert column.unit is not Unit.NONE
            assert column.aggregation is not None
        else:
            assert column.aggregation is None
        assert bool(column.weight) == (column.aggregation is Aggregation.MEAN)
        assert column.has_keys == (column.kind in {Kind.METRIC, Kind.ALLOCATION, Kind.TAG})


def test_what_is_derived_is_what_the_oracles_have() -> None:
    assert WEIGHTS == WEIGHTS_OF_THE_MODEL
    assert GROUPS == ("cluster_id", "resource_manager", "project", "groupname", "username")
    assert OBJECTS == ("allocation", "tags")
    assert {table: set(names) for table, names in LISTS.items()} == {
        Table.USERS: {"projects"},
        Table.PROJECTS: {"users"},
        Table.ADMIN_USERS: {"projects", "users"},
    }
    assert len(METRICS) == 13
    assert "total_outgress_stats" not in {column.name for column in METRICS}


@pytest.mark.parametrize("column", METRICS, ids=str)
def test_what_the_name_of_a_known_metric_says_is_true(column: Column) -> None:
    named = column_named(column.name)
    assert (named.kind, named.type) == (column.kind, column.type)
    assert (named.aggregation, named.weight) == (column.aggregation, column.weight)


@pytest.mark.parametrize(
    ("name", "aggregation", "weight"),
    [
        ("total_disk_reads", Aggregation.SUM, ""),
        ("total_cpu_cycles", Aggregation.SUM, ""),
        ("avg_cpu_frequency", Aggregation.MEAN, "alloc_cputime"),
        ("avg_cpu", Aggregation.MEAN, "alloc_cputime"),
        ("avg_cpu_mem_bandwidth", Aggregation.MEAN, "alloc_cpumemtime"),
        ("avg_cpu_memory", Aggregation.MEAN, "alloc_cputime"),
        ("avg_gpu_sm_occupancy", Aggregation.MEAN, "alloc_gputime"),
        ("avg_gpu_mem_bandwidth", Aggregation.MEAN, "alloc_gpumemtime"),
        ("avg_flops_per_gpu", Aggregation.MEAN, "alloc_gputime"),
        ("avg_gpumem_x", Aggregation.MEAN, "walltime"),
        ("avg_io_wait", Aggregation.MEAN, "walltime"),
        ("min_cpu_usage", Aggregation.MIN, ""),
        ("max_gpu_power_watts", Aggregation.MAX, ""),
    ],
)
def test_an_unknown_object_of_numbers_is_summed_up_as_its_name_says(
    name: str, aggregation: Aggregation, weight: str
) -> None:
    column = column_named(name)
    assert (column.name, column.kind, column.type) == (name, Kind.METRIC, Type.OBJECT)
    assert (column.aggregation, column.weight) == (aggregation, weight)
    assert column.has_keys
    assert column.is_answered


@pytest.mark.parametrize("name", ["labels", "totals", "average", "cpu_total_x", "minimum", ""])
def test_any_other_unknown_object_is_taken_apart_and_not_summed(name: str) -> None:
    column = column_named(name)
    assert (column.kind, column.type, column.aggregation, column.weight) == (Kind.TAG, Type.OBJECT, None, "")
    assert column.has_keys


@pytest.mark.parametrize("name", ["partition", "total_nodes", "avg_load", "max_rss"])
def test_an_unknown_column_without_objects_is_plain(name: str) -> None:
    column = column_named(name, Type.TEXT)
    assert (column.kind, column.type, column.aggregation) == (Kind.IDENTITY, Type.TEXT, None)
    assert not column.has_keys
    assert column.description


def test_units_of_keys_differ_where_the_database_mixes_them() -> None:
    times, allocation = COLUMNS[Table.UNITS][TIMES], COLUMNS[Table.UNITS]["allocation"]
    written = COLUMNS[Table.UNITS]["total_io_write_stats"]
    assert times.unit_of("walltime") is Unit.SECONDS
    assert times.unit_of("alloc_cpumemtime") is Unit.NONE
    assert allocation.unit_of("mem") is Unit.NONE
    assert written.unit_of("bytes") is Unit.BYTES
    assert written.unit_of("requests") is Unit.COUNT


def _types(connection: sqlite3.Connection) -> dict[Table, dict[str, str]]:
    """Return the columns of each table of CEEMS with their declared types."""
    found: dict[Table, dict[str, str]] = {}
    for table in Table:
        columns = {name: type_.lower() for _, name, type_, *_ in connection.execute(f"PRAGMA table_info({table})")}
        if columns:
            found[table] = columns
    return found

"""The tables, the roles, and what each role may do."""

import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from adbc_driver_postgresql import dbapi
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.store.follow.keeper import Step
from ceems_grpc.store.plan import Table
from ceems_grpc.store.postgres.schema import LARGE_TABLES, PARTS, leaves, part_of, setup_statements
from ceems_grpc.store.sqlite.source_rows import PythonRows
from tests.postgres.fed_rows import check_fed
from tests.support.mirrors import ZONE
from tests.support.postgres.feeding import feed_once
from tests.support.postgres.servers import PASSWORD, Server
from tests.support.postgres.setup import FEEDER, OWNER, READER, new_database, printed_setup


def attempt(server: Server, database: str, user: str, password: str, statement: str) -> str:
    """Run a statement as a role; return the SQLSTATE of the refusal, or "" if it succeeds."""
    url = server.full_url(database, user, password)
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(statement)
            if cursor.description:
                cursor.fetchall()  # the driver may report the error only now
        except dbapi.Error as error:
            return str(error.sqlstate)
        return ""


@given(st.text(), st.none() | st.text(), st.none() | st.text())
def test_a_row_has_one_of_the_parts(site: str, cluster: str | None, user: str | None) -> None:
    part = part_of(site, cluster, user)
    assert 0 <= part < PARTS
    assert part == part_of(site, cluster or "", user or "")


def test_parts_are_for_ever() -> None:
    """Rows are where an earlier version put them, so these numbers may never change."""
    assert PARTS == 64
    assert part_of("paris", "slurm-0", "alice") == zlib.crc32(b"paris\0slurm-0\0alice") % 64 == 59
    assert part_of("paris", None, None) == zlib.crc32(b"paris\0\0") % 64 == 5


@given(st.integers(1, PARTS))
def test_partitions_hold_every_part_once(count: int) -> None:
    found = leaves(Table.UNITS, [f"shard{number}" for number in range(count)])
    parts = [part for leaf in found for part in range(leaf.first, leaf.end)]
    assert parts == list(range(PARTS))
    assert all(leaf.first < leaf.end for leaf in found)


def test_there_are_no_more_shards_than_parts() -> None:
    with pytest.raises(ValueError, match="no more than 64 shards"):
        setup_statements("ceems", [f"shard{number}" for number in range(65)])


def test_a_feeder_with_few_rights_feeds(site: Path, server: Server) -> None:
    database = new_database(server)
    where = {"password": FEEDER, "site": "a", "zone": ZONE, "open_rows": PythonRows}
    assert feed_once(site, server.url(database, "ceems_feeder"), **where) is Step.FILLED  # type: ignore[arg-type]
    check_fed(site, server, database)


DENIED = "42501"
REFUSED = "P0001"
READ_ONLY = "25006"


def test_what_roles_may_not_do(server: Server) -> None:
    database = new_database(server)
    feeder, reader = ("ceems_feeder", FEEDER), ("ceems_reader", READER)
    add = "SELECT ceems.add_columns('{}', ARRAY['{}'], '{}')"
    for (user, password), statement, state in (
        (reader, "SELECT count(*) FROM ceems.units", ""),
        (reader, "SELECT * FROM ceems.sites", ""),
        (reader, "SELECT * FROM ceems.feed_state", DENIED),
        (reader, "DELETE FROM ceems.units", READ_ONLY),
        (reader, add.format("units", "#9", "double precision"), DENIED),
        (reader, "CREATE TEMPORARY TABLE t (x integer)", READ_ONLY),
        (feeder, "DELETE FROM ceems.units", ""),
        (feeder, "DELETE FROM ceems.layout", DENIED),
        (feeder, "DROP TABLE ceems.units", DENIED),
        (feeder, "TRUNCATE ceems.units", DENIED),
        (feeder, "ALTER TABLE ceems.units ADD COLUMN x text", DENIED),
        (feeder, "CREATE TABLE ceems.mine (x text)", DENIED),
        (feeder, "CREATE TABLE public.mine (x text)", DENIED),
        (feeder, "CREATE SCHEMA mine", DENIED),
        (feeder, add.format("units", "#9", "double precision"), ""),
        (feeder, add.format("units", "#9", "double precision"), ""),  # it exists already: no error
        (feeder, add.format("units", "gpu_model", 'text COLLATE "C"'), ""),
        (feeder, add.format("sites", "#9", "double precision"), REFUSED),
        (feeder, add.format("units", 'x" integer; DROP TABLE ceems.units; --', "bigint"), REFUSED),
        (feeder, add.format("units", "x", "bigint DEFAULT 1/0"), REFUSED),
    ):
        assert attempt(server, database, user, password, statement) == state, (user, statement)
    # A read-only session is a default that the reader could change; its rights are not.
    script = "SET default_transaction_read_only = off; DELETE FROM ceems.units;"
    with pytest.raises(AssertionError, match="permission denied"):
        server.psql(script, database, "ceems_reader", password=READER)


def test_setting_up_twice_is_refused_and_changes_nothing(server: Server) -> None:
    database = new_database(server)
    with pytest.raises(AssertionError, match="already exists"):
        server.psql(printed_setup(), database, "ceems_owner", password=OWNER)
    assert server.rows("SELECT count(*) FROM ceems.layout", database) == [(1,)]


def test_another_schema(site: Path, server: Server, empty_database: str) -> None:
    server.psql(printed_setup("--schema", "energy"), empty_database)
    feed_once(
        site, server.url(empty_database), password=PASSWORD, site="a", zone=ZONE, schema="energy", open_rows=PythonRows
    )
    ((units, wanted),) = server.rows(
        "SELECT (SELECT count(*) FROM energy.units), (SELECT units FROM energy.sites)", empty_database
    )
    assert units == wanted


def test_tables_for_citus(site: Path, server: Server, empty_database: str) -> None:
    """Without Citus: a function records the calls to it, and the tables are those that Citus would distribute."""
    server.run(
        "CREATE TABLE public.distributed (name text, spread_by text, colocated_with text)",
        "CREATE FUNCTION public.create_distributed_table(text, text, colocate_with text) RETURNS void LANGUAGE sql"
        " AS 'INSERT INTO public.distributed VALUES ($1, $2, $3)'",
        database=empty_database,
    )
    server.psql(printed_setup("--citus"), empty_database)
    assert server.rows("SELECT * FROM public.distributed", empty_database) == [
        ('"ceems".units', "part", "none"),
        ('"ceems".usage', "part", '"ceems".units'),
        ('"ceems".daily_usage', "part", '"ceems".units'),
    ]
    unique = server.rows(
        "SELECT indrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indisunique AND indrelid = ANY(ARRAY['ceems.units', 'ceems.usage', 'ceems.daily_usage']::regclass[])",
        empty_database,
    )
    assert len(unique) == len(LARGE_TABLES)
    assert all("part" in str(definition) for _, definition in unique), "Citus wants the column in every unique index"
    feed_once(site, server.url(empty_database), password=PASSWORD, site="a", zone=ZONE, open_rows=PythonRows)
    check_fed(site, server, empty_database)


def test_names_that_are_no_shards() -> None:
    for options, message in (
        (("--shards", "a,a"), "names a server twice"),
        (("--shards", "a,b", "--on", "c"), "must be one of the names"),
        (("--schema", 'x"; DROP'), "The name of a schema"),
    ):
        command = [sys.executable, "-m", "ceems_grpc", "feed", "--print-setup", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert message in done.stderr

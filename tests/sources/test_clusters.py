"""The clusters of a database are found without reading all of it, and reported like any other look-up."""

import sqlite3
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from ceems_grpc.domain.questions.model import Directory, DirectoryQuestion, Viewer
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.plan import ALWAYS, Distinct, Table
from ceems_grpc.store.plan.pruning import clusters_of, within, without_missing
from ceems_grpc.store.sqlite.dialect import SqliteSql
from tests.model.databases import CLUSTERS
from tests.sources.test_same_answers import few, merged_files
from tests.sources.two_sites import write_north_and_south
from tests.support.ceems_schema import create_schema
from tests.support.plans import conditions

_TURN = 1_761_440_400
_IDS = st.lists(st.sampled_from([None, "a", "b", "B", "", "é", "10", "9"]), max_size=12)


@settings(few, max_examples=15)
@given(_IDS, st.sampled_from([Table.UNITS, Table.USERS, Table.DAILY_USAGE]))
def test_clusters_are_found_along_the_index(ids: list[str | None], table: Table) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        create_schema(connection)
        for number, cluster in enumerate(ids):
            column = "username" if table is Table.DAILY_USAGE else "name"
            row = (cluster, str(number), str(number)) if table is Table.UNITS else (cluster, str(number))
            names = f"cluster_id, {column}" + (", uuid" if table is Table.UNITS else "")
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", row)
        sql = SqliteSql(table, None)  # type: ignore[arg-type]
        quick = connection.execute(sql.distinct(Distinct(table, ("cluster_id",)))).fetchall()
        assert quick == connection.execute(f"SELECT DISTINCT cluster_id FROM {table} ORDER BY 1").fetchall()


@settings(few, max_examples=60)
@given(st.data())
def test_routing_leaves_out_no_row(data: st.DataObject) -> None:
    """A row that fulfils a condition belongs to one of its clusters, and fulfils the rest of the condition there."""
    table = data.draw(st.sampled_from([Table.USAGE, Table.PROJECTS]))
    condition = data.draw(conditions(table, _TURN))
    cluster = data.draw(st.sampled_from(sorted(CLUSTERS)))
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("ceems_moment", 2, lambda *_: 0)
        create_schema(connection)
        owner = "username" if table is Table.USAGE else "name"
        connection.execute(f"INSERT INTO {table} (cluster_id, {owner}) VALUES (?, 'ann')", (cluster,))

        def count(asked: object) -> int:
            sql = SqliteSql(table, ZoneInfo("UTC"))
            where = sql.condition(asked)  # type: ignore[arg-type]
            ((found,),) = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}", sql.parameters).fetchall()
            return int(found)

        found = clusters_of(condition)
        assert not count(condition) or found is None or cluster in found
        assert count(within(condition, frozenset({cluster}))) == count(condition)
        assert count(without_missing(condition, lambda _: True)) == count(condition)
    assert without_missing(ALWAYS, lambda _: False) == ALWAYS


def test_the_index_is_used(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        create_schema(connection)
        sql = SqliteSql(Table.UNITS, None)  # type: ignore[arg-type]
        steps = connection.execute(f"EXPLAIN QUERY PLAN {sql.distinct(Distinct(Table.UNITS, ('cluster_id',)))}")
        assert not [step for *_, step in steps if step.startswith("SCAN units")]


async def test_an_administrator_of_one_site_in_a_project_without_a_cluster(tmp_path: Path) -> None:
    north, south = write_north_and_south(tmp_path)
    with closing(sqlite3.connect(south)) as connection, connection:
        connection.execute("UPDATE projects SET cluster_id = NULL")
    ceems = Ceems(merged_files([north, south], None))
    try:
        answer = await ceems.directory(Viewer("root-n"), DirectoryQuestion(Directory.CLUSTERS, admin="auto"))
    finally:
        await ceems.close()
    assert answer.table.column("id").to_pylist() == ["slurm-n"]

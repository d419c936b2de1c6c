"""Windows with few units: rows are found in memory, read from the file, and equal those of the file alone."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ceems_grpc.store.duckdb.selective import FileFirstReader
from ceems_grpc.store.duckdb.store import MirroredStore
from ceems_grpc.store.plan import (
    AllKeys,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    In,
    Instant,
    Key,
    Order,
    PairIn,
    Running,
    Scan,
    Table,
    Within,
)
from ceems_grpc.store.runtime.cancellation import in_one_thread
from ceems_grpc.store.runtime.query_trace import trace_query
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.compare import check_same
from tests.support.mirrors import NOW, ZONE, following

END = int(NOW.timestamp())
DAY = 86_400

Owner = tuple[str, str, str]  # login, cluster, project

CONDITIONS: dict[str, Callable[[Owner], Condition]] = {
    "one user": lambda owner: In("username", (owner[0],)),
    "one user, not ignored": lambda owner: AllOf((Compare("ignore", "=", 0), In("username", (owner[0],)))),
    "nobody": lambda _: In("username", ("nobody",)),
    "no names": lambda _: In("username", ()),
    "a pair": lambda owner: PairIn(("cluster_id", "username"), ((owner[1], owner[0]), ("none", "none"))),
    "no pairs": lambda _: PairIn(("cluster_id", "username"), ()),
    "one user, or a pair": lambda owner: AnyOf(
        (In("username", (owner[0],)), PairIn(("cluster_id", "project"), ((owner[1], "none"),)))
    ),
    "not the cluster": lambda owner: AllOf(
        (In("username", (owner[0],)), In("cluster_id", (owner[1],), negate=True), In("project", (owner[2],)))
    ),
    "a tag": lambda owner: AllOf((In("username", (owner[0],)), In(Key("tags", "qos"), ("normal",)))),
    "some states": lambda owner: AnyOf((In("state", ("COMPLETED",)), In("username", (owner[0],)))),
}


@pytest.fixture
def owner(site: Path) -> Owner:
    with sqlite3.connect(site) as connection:
        found: Owner = connection.execute(
            "SELECT username, cluster_id, project FROM units WHERE ended_at_ts > 0 ORDER BY id DESC LIMIT 1"
        ).fetchone()
    return found


def units(where: Condition, start: int, end: int) -> Scan:
    columns = ("id", "uuid", "ended_at_ts", AllKeys("total_time_seconds"), "tags")
    return Scan(Table.UNITS, columns, AllOf((where, Within(Instant.ENDED, start, end))), (Order("id"),))


async def stores_asked(store: MirroredStore, live: SqliteStore, plan: Scan) -> set[str]:
    """Fail if the answer differs from that of the file; return the stores that answered."""

    async def ask() -> object:
        async with store.read_here() as reader:
            assert isinstance(reader, FileFirstReader)
            return await reader.table(plan)

    with trace_query() as trace:
        found = await in_one_thread(ask)
    async with live.read() as reader:
        check_same(plan, found, await reader.table(plan))
    return {statement.store for statement in trace.statements}


@pytest.mark.parametrize("name", CONDITIONS)
async def test_the_answers_of_the_file(site: Path, owner: Owner, tmp_path: Path, name: str) -> None:
    live, where = SqliteStore(site, zone=ZONE), CONDITIONS[name](owner)
    async with following(site, tmp_path / "mirror") as store:
        store.begin()
        assert await store.settled()
        async with live.read() as reader:
            ended = await reader.table(units(AllOf(()), END - 20 * DAY, END))
        moment = ended.column("ended_at_ts")[-1].as_py() // 1000
        for start, end in ((END - DAY, END), (END - 3 * DAY, END - DAY), (moment, moment), (-5, 5), (END, END - DAY)):
            assert await stores_asked(store, live, units(where, start, end)) == {"database"}
        await stores_asked(store, live, units(where, 0, END))
    await live.close()


async def test_many_units_are_found_by_the_mirror(site: Path, tmp_path: Path) -> None:
    live = SqliteStore(site, zone=ZONE)
    running = AllOf((AnyOf((Within(Instant.ENDED, END - DAY, END), Running())),))
    async with following(site, tmp_path / "mirror") as store:
        store.begin()
        assert await store.settled()
        assert await stores_asked(store, live, units(AllOf(()), 0, END)) == {"mirror"}
        assert await stores_asked(store, live, Scan(Table.UNITS, ("id", "uuid"), running, (Order("id"),))) == {"mirror"}
    await live.close()


async def test_rows_of_the_present_moment(site: Path, writer: sqlite3.Connection, owner: Owner, tmp_path: Path) -> None:
    live, plan = SqliteStore(site, zone=ZONE), units(In("username", (owner[0], "new")), END - DAY, END)
    changes = (
        "DELETE FROM units WHERE id = (SELECT max(id) FROM units WHERE ended_at_ts > 0)",
        f"UPDATE units SET ended_at_ts = {END * 1000} WHERE id = (SELECT min(id) FROM units)",
        f"UPDATE units SET username = 'new', ended_at_ts = {END * 1000 + 999} WHERE id = (SELECT max(id) FROM units)",
    )
    async with following(site, tmp_path / "mirror") as store:
        store.begin()
        assert await store.settled()
        for change in changes:
            writer.execute(change)
            assert await store.settled()
            assert await stores_asked(store, live, plan) == {"database"}
    await live.close()

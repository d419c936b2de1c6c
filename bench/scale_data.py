"""Creates ten sites in PostgreSQL from one CEEMS database, once.

The command feeds the first site from a file with a tenth of the units. The other nine are derived from its rows within
the shards, with other clusters, users and times, because nine more files would take an hour and 11 GB of disk. Each row
goes to the part that the feeder's rule selects, and the feeder's own statements compute the sums per hour and day. At
the end, the file is updated several times while the command follows it.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.questions import ZONE
from bench.scale_servers import SHARDS
from ceems_grpc.schema import LISTS
from ceems_grpc.store.columnar.layout import DAY, MOMENT, list_column, quote, text
from ceems_grpc.store.plan import Table
from ceems_grpc.store.postgres.feed.rollups import DAY_SECONDS, rebuild_statements
from ceems_grpc.store.postgres.schema import LARGE_TABLES, PART, SITE, Leaf, TableCatalog, leaves, part_of
from tests.load.writer import Ledger, Writer
from tests.support.postgres.servers import Server, Shards
from tests.support.postgres.setup import FEEDER, new_sharded_database

SITES = 10
FIRST = "site-0"
UPDATED_UNITS = 2_000
_SHIFT = 1_117  # seconds by which each site's units are earlier than those of the previous site
_UPDATES = 9
_WARM_UP = 4
_STEP = 28 * DAY_SECONDS
_MARK = "made.json"


class Made(msgspec.Struct):
    """The result: the database, the newest update (seconds since 1970), rows, and the duration of each step (s).

    ``updates``: milliseconds from the commit of `UPDATED_UNITS` units to the file until they appear in PostgreSQL.
    """

    database: str = ""
    now: int = 0
    units: int = 0
    fed_rows: int = 0
    fed: float = 0.0
    copied: float = 0.0
    indexed: float = 0.0
    summed: float = 0.0
    updates: list[float] = []


def load_made(folder: Path) -> Made | None:
    """Return the result stored in a folder; None if there is no complete one."""
    mark = folder / _MARK
    return msgspec.json.decode(mark.read_bytes(), type=Made) if mark.exists() else None


def make(folder: Path, source: Path, servers: Shards) -> Made:
    """Create everything on empty servers. The file is copied into the folder first, because it is updated later."""
    made = Made(database=new_sharded_database(servers))
    file = folder / "ceems.db"
    shutil.copy(source, file)
    made.fed = _timed(lambda: _feed(file, servers, made.database))
    ((rows, made.units),) = _numbers(
        servers.coordinator,
        "SELECT (SELECT count(*) FROM ceems.units) + (SELECT count(*) FROM ceems.usage)"
        " + (SELECT count(*) FROM ceems.daily_usage), (SELECT count(*) FROM ceems.units)",
        made.database,
    )
    made.fed_rows = rows
    indexes = {name: _drop_indexes(server, made.database) for name, server in servers.shards.items()}
    made.copied = _timed(lambda: _copy_sites(folder, servers, made.database))
    made.indexed = _timed(lambda: _each(servers, lambda name, one: _finish(one, made.database, indexes[name])))
    made.summed = _timed(lambda: _sum_up(servers, made.database))
    counted = _numbers(servers.coordinator, "SELECT count(*) FROM ceems.units GROUP BY site", made.database)
    if counted != [(made.units,)] * SITES:
        raise RuntimeError(f"the sites have {counted} units, not {made.units} each")
    made.units *= SITES
    made.updates = _follow(file, servers, made.database)
    ((made.now,),) = _numbers(servers.coordinator, "SELECT max(newest) FROM ceems.sites", made.database)
    # Not all tables: for foreign tables PostgreSQL would read all rows, and the coordinator needs no row counts here.
    tables = servers.coordinator.rows(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'ceems'::regnamespace AND relkind = 'r'", made.database
    )
    servers.coordinator.run(*(f"VACUUM ANALYZE ceems.{name}" for (name,) in tables), database=made.database)
    (folder / _MARK).write_bytes(msgspec.json.encode(made))
    return made


# The site that is fed


def _command(file: Path, servers: Shards, database: str, *more: str) -> list[str]:
    url = servers.coordinator.url(database, "ceems_feeder")
    feed = ["feed", "--database", str(file), "--to", url, "--site", FIRST, "--timezone", str(ZONE)]
    return [sys.executable, "-m", "ceems_grpc", *feed, "--log-level", "warn", *more]


def _feed(file: Path, servers: Shards, database: str) -> None:
    command = _command(file, servers, database, "--once")
    subprocess.run(command, check=True, env={**os.environ, "PGPASSWORD": FEEDER})  # noqa: S603 - written above


def _follow(file: Path, servers: Shards, database: str) -> list[float]:
    """Update the file while the command follows it; return how long each update took to appear."""
    times = _catalog(servers.coordinator, database).keys["total_time_seconds"]
    statement = (
        f"SELECT coalesce(min({quote(times['alloc_cputime'])}), 0)::bigint FROM ceems.units"  # noqa: S608 - quoted
        f" WHERE username = {text(Ledger.USER)}"
    )
    taken = []
    command = _command(file, servers, database, "--interval", "0.1")
    process = subprocess.Popen(command, env={**os.environ, "PGPASSWORD": FEEDER})  # noqa: S603 - written above
    try:
        with closing(Writer(file)) as writer:
            for _ in range(_WARM_UP + _UPDATES):
                number = writer.update(UPDATED_UNITS).commit
                started = time.perf_counter()
                while _numbers(servers.coordinator, statement, database) != [(number,)]:
                    if process.poll() is not None or time.perf_counter() - started > 600:
                        raise RuntimeError("the feeder did not follow")
                    time.sleep(0.02)
                taken.append((time.perf_counter() - started) * 1000)
    finally:
        process.terminate()
        process.wait()
    return taken[_WARM_UP:]


# The others


def _copy_sites(folder: Path, servers: Shards, database: str) -> None:
    """Create the other sites: the small tables on the coordinator, the large ones within the shards."""
    _copy_small(servers.coordinator, database)
    exchange = folder / "exchange"
    exchange.mkdir()
    exchange.chmod(0o777)
    for table in LARGE_TABLES:
        _each(servers, lambda name, server, table=table: _write_out(server, database, _leaf(table, name), exchange))
        pairs = _parts(servers.coordinator, database, table)
        _each(
            servers,
            lambda name, server, table=table, pairs=pairs: _copy_large(
                server, database, table, _leaf(table, name), exchange=exchange, pairs=pairs
            ),
        )
    shutil.rmtree(exchange)


def _leaf(table: Table, shard: str) -> Leaf:
    (found,) = (leaf for leaf in leaves(table, SHARDS) if leaf.server == shard)
    return found


def _write_out(server: Server, database: str, leaf: Leaf, exchange: Path) -> None:
    columns = ", ".join(map(quote, _columns(server, database, leaf.name)))
    rows = f"SELECT {columns} FROM ceems.{leaf.name}"  # noqa: S608 - quoted names
    server.run(f"COPY ({rows}) TO {text(str(exchange / leaf.name))} BINARY", database=database)


def _parts(coordinator: Server, database: str, table: Table) -> list[tuple[int, str, str, int]]:
    """Return (number of the site, cluster and user of the first site, part) of all owners of rows."""
    found = coordinator.rows(f"SELECT DISTINCT cluster_id, username FROM ceems.{table}", database)  # noqa: S608
    return [
        (number, str(cluster), str(user), part_of(f"site-{number}", f"{cluster}-{number}", f"{user}-{number}"))
        for number in range(1, SITES)
        for cluster, user in found
    ]


def _copy_large(
    server: Server, database: str, table: Table, leaf: Leaf, *, exchange: Path, pairs: list[tuple[int, str, str, int]]
) -> None:
    """Insert the rows of all other sites that belong to this shard, from the files that the shards exported."""
    columns = _columns(server, database, leaf.name)
    listed = ", ".join(map(quote, columns))
    server.run(f"CREATE UNLOGGED TABLE ceems.whole (LIKE ceems.{leaf.name})", database=database)
    for file in sorted(exchange.glob(f"{table}_p*")):
        server.run(f"COPY ceems.whole ({listed}) FROM {text(str(file))} BINARY", database=database)
    mine = [pair for pair in pairs if leaf.first <= pair[3] < leaf.end]
    values = ", ".join(f"({number}, {text(cluster)}, {text(user)}, {part})" for number, cluster, user, part in mine)
    server.run(
        "CREATE UNLOGGED TABLE ceems.parts (number int, cluster_id text, username text, part int)", database=database
    )
    server.run(f"INSERT INTO ceems.parts VALUES {values}", database=database)  # noqa: S608 - quoted
    server.run("ANALYZE ceems.parts", "ANALYZE ceems.whole", f"SET TimeZone = {text(str(ZONE))}", database=database)
    changed = _changes(table)
    shown = ", ".join(changed.get(column, f"w.{quote(column)}") for column in columns)
    for number in range(1, SITES):
        server.run(
            f"INSERT INTO ceems.{leaf.name} ({listed}) SELECT {shown} FROM ceems.whole w"  # noqa: S608 - quoted
            " JOIN ceems.parts p ON p.cluster_id = w.cluster_id AND p.username = w.username"
            f" WHERE p.number = {number}",
            database=database,
        )
    server.run("DROP TABLE ceems.whole", "DROP TABLE ceems.parts", database=database)


def _changes(table: Table) -> dict[str, str]:
    """Return the columns that differ from the first site's row ``w``; ``p`` holds the site's number and the part."""
    changed = {
        SITE: "'site-' || p.number",
        PART: "p.part",
        "cluster_id": "w.cluster_id || '-' || p.number",
        "username": "w.username || '-' || p.number",
    }
    if table is not Table.UNITS:
        return changed
    moment = f"(w.{quote(MOMENT)} - p.number * {_SHIFT})"
    changed[MOMENT] = moment
    changed[DAY] = f"({moment} - {moment} % {DAY_SECONDS})"
    changed["last_updated_at"] = f"to_char(to_timestamp({moment}), 'YYYY-MM-DD\"T\"HH24:MI:SS')"
    for name in ("created_at", "started_at", "ended_at"):
        earlier = f"(w.{name}_ts - p.number * {_SHIFT * 1000})"
        changed[f"{name}_ts"] = f"CASE WHEN w.{name}_ts > 0 THEN {earlier} ELSE w.{name}_ts END"
        written = f"to_char(to_timestamp({earlier} / 1000), 'YYYY-MM-DD\"T\"HH24:MI:SSTZHTZM')"
        changed[name] = f"CASE WHEN w.{name}_ts > 0 THEN {written} ELSE w.{name} END"
    return changed


def _copy_small(coordinator: Server, database: str) -> None:
    for number in range(1, SITES):
        site = f"site-{number}"
        with _one_transaction(coordinator, database):
            _insert(coordinator, database, "clusters", {SITE: text(site), "cluster_id": f"cluster_id || '-{number}'"})
            _insert(coordinator, database, "sites", {SITE: text(site), "resources": _resources(number), "commits": "1"})
            for table, lists in LISTS.items():
                changed = {SITE: text(site)}
                if table is Table.ADMIN_USERS:  # the same people administer all sites
                    mine = "SELECT json_agg(cluster_id ORDER BY cluster_id)::text FROM ceems.clusters"
                    changed["clusters"] = f"({mine} WHERE site = '{site}')"
                else:
                    changed["cluster_id"] = f"cluster_id || '-{number}'"
                if table is Table.USERS:
                    changed["name"] = f"name || '-{number}'"
                if table is Table.PROJECTS:
                    for name in lists:
                        source = quote(list_column(name))
                        renamed = f"ARRAY(SELECT member || '-{number}' FROM unnest({source}) AS member)"  # noqa: S608 - quoted
                        changed[list_column(name)] = renamed
                        changed[name] = f"array_to_json({renamed})::text"
                _insert(coordinator, database, table, changed)


def _resources(number: int) -> str:
    return (
        f"(SELECT jsonb_agg(jsonb_build_array((pair ->> 0) || '-{number}', pair ->> 1))"  # noqa: S608 - a number
        " FROM jsonb_array_elements(resources) AS pair)"
    )


def _insert(server: Server, database: str, table: str, changed: dict[str, str]) -> None:
    """Insert copies of the first site's rows, with some columns changed."""
    columns = _columns(server, database, table)
    listed = ", ".join(map(quote, columns))
    shown = ", ".join(changed.get(column, quote(column)) for column in columns)
    server.run(
        f"INSERT INTO ceems.{table} ({listed}) SELECT {shown} FROM ceems.{table} WHERE site = '{FIRST}'",  # noqa: S608
        database=database,
    )


def _sum_up(servers: Shards, database: str) -> None:
    """Compute the sums per hour and day of the other sites, as the feeder does after a first copy."""
    coordinator = servers.coordinator
    catalog = _catalog(coordinator, database)
    ((first, last),) = _numbers(
        coordinator,
        f"SELECT min({quote(MOMENT)}), max({quote(MOMENT)}) FROM ceems.units WHERE {quote(MOMENT)} IS NOT NULL",  # noqa: S608
        database,
    )
    coordinator.run("SET enable_partitionwise_aggregate = on", "SET jit = off", database=database)
    for start in range(first // DAY_SECONDS * DAY_SECONDS, last + 1, _STEP):
        for number in range(1, SITES):
            statements = rebuild_statements("ceems", f"site-{number}", catalog, start, start + _STEP)
            with _one_transaction(coordinator, database):
                coordinator.run(*statements, database=database)


# Helpers


def _catalog(server: Server, database: str) -> TableCatalog:
    ((layout,),) = server.rows("SELECT layout::text FROM ceems.catalog WHERE table_name = 'units'", database)
    return msgspec.json.decode(str(layout), type=TableCatalog)


def _drop_indexes(server: Server, database: str) -> list[str]:
    """Drop the indexes that are not primary keys; return the statements that create them again."""
    found = server.rows(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'ceems' AND indexname NOT LIKE '%pkey'", database
    )
    server.run(*(f"DROP INDEX ceems.{quote(str(name))}" for name, _ in found), database=database)
    return [str(definition) for _, definition in found]


def _finish(server: Server, database: str, indexes: list[str]) -> None:
    server.run(*indexes, "VACUUM ANALYZE", database=database)


def _each(servers: Shards, work: Any) -> None:  # noqa: ANN401 - called with a shard's name and its server
    """Run a function for all shards in parallel."""
    with ThreadPoolExecutor(len(servers.shards)) as pool:
        list(pool.map(lambda item: work(*item), servers.shards.items()))


def _columns(server: Server, database: str, table: str) -> list[str]:
    statement = (
        "SELECT column_name::text FROM information_schema.columns"  # noqa: S608 - a constant
        f" WHERE table_schema = 'ceems' AND table_name = '{table}' ORDER BY ordinal_position"
    )
    return [str(name) for (name,) in server.rows(statement, database)]


def _numbers(server: Server, statement: str, database: str) -> list[tuple[int, ...]]:
    return [tuple(int(str(value)) for value in row) for row in server.rows(statement, database)]


def _timed(work: Any) -> float:  # noqa: ANN401 - a function without arguments
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def _one_transaction(server: Server, database: str) -> Iterator[None]:
    server.run("BEGIN", database=database)
    try:
        yield
        server.run("COMMIT", database=database)
    except BaseException:
        server.run("ROLLBACK", database=database)
        raise

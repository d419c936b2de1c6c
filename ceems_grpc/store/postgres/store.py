"""CEEMS databases of one or several sites in PostgreSQL, as `ceems-grpc feed` keeps them there.

Each reader is one short read-only transaction (REPEATABLE READ) on one of a few connections. A cancelled question
cancels its statement. A connection that was lost is made anew with the next question, or with the first of a reader.
"""

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from ceems_grpc.schema import is_metric
from ceems_grpc.store.columnar.assemble import put_together, type_of, type_of_measure
from ceems_grpc.store.columnar.layout import quote, text
from ceems_grpc.store.columnar.local_time import SEVERAL_ZONES
from ceems_grpc.store.columnar.zone_text import zone_of_text
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.plan import Aggregate, Distinct, KeyScan, Scan, Spread, Table
from ceems_grpc.store.postgres import summed as postgres_summed
from ceems_grpc.store.postgres.connection import Address, Connection, Error
from ceems_grpc.store.postgres.dialect import CLUSTERS, Catalog, PostgresSql
from ceems_grpc.store.postgres.errors import (
    explain,
    explain_connect,
    is_lost,
    is_no_such,
    never_fed,
    not_set_up,
    too_old,
)
from ceems_grpc.store.postgres.schema import POSTGRES_LAYOUT_VERSION, TableCatalog
from ceems_grpc.store.protocols import Facts, PartFacts
from ceems_grpc.store.runtime.query_trace import enter, waiting

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_ROWS_A_BATCH = 8_192
_STALE = timedelta(hours=1)
_PATIENCE = 5.0  # seconds until a statement that does not let itself be cancelled is left alone


@dataclass(frozen=True, slots=True)
class Site:
    """What table ``sites`` says of a site. ``newest``: seconds since 1970; ``fed_at`` is a UTC instant."""

    name: str
    zone: str
    schema_version: int
    commits: int
    newest: int | None
    units: int
    resources: tuple[tuple[str, str], ...]
    complete: bool
    rollups: bool
    fed_at: datetime


@dataclass(frozen=True, slots=True)
class State:
    """What the database holds at one moment."""

    sites: tuple[Site, ...]
    catalog: Catalog
    zone: tzinfo

    @property
    def version(self) -> Hashable:
        """Another value after every commit of a feeder."""
        return tuple((site.name, site.commits) for site in self.sites)


class PostgresStore:
    """A PostgreSQL database that feeders fill.

    ``url``: as libpq has it, without a password. ``connections``: how many readers at once. ``statement_timeout``:
    seconds after which the server stops a statement by itself, None never: who asks gives up before that.
    """

    def __init__(  # an empty password is none  # nosec B107
        self,
        url: str,
        password: str = "",
        schema: str = "ceems",
        *,
        connections: int = 8,
        statement_timeout: float | None = 600.0,
    ) -> None:
        self._address = Address(url, password)
        self._schema = schema
        self._timeout = statement_timeout
        self._free = asyncio.Semaphore(connections)
        self._idle: list[Connection] = []
        # Versions are asked for while readers are open, so they have a connection of their own.
        self._watch: list[Connection] = []
        self._one_watcher = asyncio.Lock()
        # Statements and their cancelling; a server that does not answer must not use up the threads of others.
        self._threads = ThreadPoolExecutor(2 * connections + 1, "postgres")
        self._known: tuple[Hashable, dict[str, TableCatalog]] | None = None
        self._warned = False
        self._open = 0  # leases
        self._closed = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator["PostgresReader"]:
        """Open a reader on the database as it is now."""
        try:
            with waiting():
                async with asyncio.timeout(60):
                    await self._free.acquire()
        except TimeoutError:
            raise StoreBusyError("The database is busy with other questions; try again in a moment.") from None
        try:
            async with self._lease(self._idle) as lease:
                yield PostgresReader(lease, await lease.open())
        finally:
            self._free.release()

    async def facts(self) -> Facts:
        """Describe the database: what its sites say, together. Raises `StoreError` also where a shard is not there."""
        async with self.read() as reader:
            await reader.reach_shards()
            return reader.facts(self._address.shown)

    async def version(self) -> Hashable:
        """Return the numbers of commits of all sites, of which every feeding makes one larger."""
        async with self._one_watcher, self._lease(self._watch) as lease:
            return (await lease.open()).version

    async def close(self) -> None:
        """Close idle connections; those in use close when their reader does."""
        self._closed = True
        for idle in (self._idle, self._watch):
            while idle:
                await asyncio.to_thread(idle.pop().close)
        self._end_threads()

    @asynccontextmanager
    async def _lease(self, idle: list[Connection]) -> AsyncIterator["Lease"]:
        lease = Lease(self, idle)
        self._open += 1
        try:
            yield lease
        finally:
            try:
                await asyncio.shield(lease.close())
            finally:
                self._open -= 1
                self._end_threads()

    def _end_threads(self) -> None:
        if self._closed and not self._open:
            self._threads.shutdown(wait=False)

    # For leases

    @property
    def closed(self) -> bool:
        """Whether connections that are given back must be closed."""
        return self._closed

    def connect(self) -> Connection:
        """Make a connection; blocks."""
        try:
            return Connection(self._address, self._timeout)
        except Error as error:
            raise explain_connect(self._address, error) from error

    def explain(self, error: Error) -> StoreError:
        """Say what an error of a statement means."""
        return explain(self._address, error)

    def begin(self, work: Callable[[], _Result]) -> "Future[_Result]":
        """Begin blocking work in a thread of this store; what is added to be done after it needs no event loop."""
        context = contextvars.copy_context()  # the account of the question
        return self._threads.submit(context.run, work)

    async def in_thread(self, work: Callable[[], _Result]) -> _Result:
        """Run blocking work in a thread of this store."""
        return await asyncio.wrap_future(self.begin(work))

    def state(self, connection: Connection) -> State:
        """Begin a transaction, and return what the database holds in it; blocks."""
        connection.begin()
        try:
            rows = connection.fetch(self._statement_of_sites()).to_pylist()
            return self._state_of(connection, rows)
        except Error as error:
            if not is_no_such(error):
                raise
            connection.run("ROLLBACK")
            raise self._schema_trouble(connection) from error

    def _state_of(self, connection: Connection, rows: list[dict[str, Any]]) -> State:
        version = rows[0]["version"] if rows else 0
        if version < POSTGRES_LAYOUT_VERSION:
            raise too_old(self._address, self._schema, version, POSTGRES_LAYOUT_VERSION)
        if version > POSTGRES_LAYOUT_VERSION and not self._warned:
            self._warned = True
            _log.warning(
                "the tables in PostgreSQL were made by a newer feeder: update the plugin",
                extra={"database": self._address.shown, "version": version, "known": POSTGRES_LAYOUT_VERSION},
            )
        sites = tuple(_site(row) for row in rows if row["site"] is not None)
        if not sites:
            raise never_fed(self._address, self._schema)
        tables = self._tables(connection, tuple((site.name, site.commits) for site in sites))
        rollups = all(site.rollups for site in sites)
        names = tuple(site.name for site in sites)
        catalog = Catalog(self._schema, tables, names, rollups, tuple(rows[0]["shards"] or ()))
        zones = {site.zone for site in sites}
        return State(sites, catalog, zone_of_text(zones.pop()) if len(zones) == 1 else SEVERAL_ZONES)

    def _tables(self, connection: Connection, version: Hashable) -> dict[str, TableCatalog]:
        known = self._known
        if known is not None and known[0] == version:
            return known[1]
        tables: dict[str, TableCatalog] = {}
        statement = f"SELECT table_name, layout::text AS layout FROM {quote(self._schema)}.catalog"  # noqa: S608
        for row in connection.fetch(statement).to_pylist():
            tables[row["table_name"]] = msgspec.json.decode(row["layout"], type=TableCatalog)
        admins = tables.get(Table.ADMIN_USERS)
        if admins is not None and CLUSTERS not in admins.columns:
            admins.columns = (*admins.columns, CLUSTERS)
        self._known = (version, tables)
        return tables

    def _statement_of_sites(self) -> str:
        schema = quote(self._schema)
        units = text(f"{schema}.{quote(Table.UNITS)}")
        shards = (
            "SELECT array_agg(relname::text ORDER BY relname) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"  # noqa: S608
            f" WHERE inhparent = to_regclass({units})"
        )
        return (
            f"SELECT version, CASE WHEN kind = 'foreign' THEN ({shards}) END AS shards, site, zone,"  # noqa: S608
            " schema_version, commits, newest, units, resources::text AS resources, complete, rollups, fed_at"
            f" FROM {schema}.layout LEFT JOIN {schema}.sites ON true ORDER BY site"
        )

    def _schema_trouble(self, connection: Connection) -> StoreError:
        try:
            rows = connection.fetch(f"SELECT version FROM {quote(self._schema)}.layout")  # noqa: S608
        except Error as error:
            return not_set_up(self._address, self._schema) if is_no_such(error) else self.explain(error)
        versions = rows.column(0).to_pylist()
        if not versions or versions[0] > POSTGRES_LAYOUT_VERSION:
            return not_set_up(self._address, self._schema)
        return too_old(self._address, self._schema, versions[0], POSTGRES_LAYOUT_VERSION)


class Lease:
    """A connection, and the transaction on it, for as long as a reader is open."""

    def __init__(self, store: PostgresStore, idle: list[Connection]) -> None:
        self._store = store
        self._idle = idle  # connections that wait, to be taken and given back
        self._connection: Connection | None = None
        self._given = False  # whether the reader has given an answer of this transaction

    async def open(self) -> State:
        """Begin a transaction on a connection that works."""
        if self._idle:
            connection = self._idle.pop()
            try:
                return await self._begin(connection)
            except Error as error:
                if not is_lost(error):
                    raise self._store.explain(error) from error
                await self._drop_lost(connection)
        return await self._begin_anew()

    async def _begin_anew(self) -> State:
        connecting = self._store.begin(self._store.connect)
        try:
            connection = await asyncio.wrap_future(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_close_when_made)
            raise
        try:
            return await self._begin(connection)
        except Error as error:
            raise self._store.explain(error) from error

    async def _begin(self, connection: Connection) -> State:
        self._connection = connection
        return await self._run(partial(self._store.state, connection))

    async def ask(self, work: Callable[[Connection], _Result], renew: Callable[[State], None]) -> _Result:
        """Run work on the connection in a thread. Raises `StoreError`.

        Where the connection is lost before anything was answered, the work is done once more on another one, in a new
        transaction, whose state ``renew`` gets.
        """
        assert self._connection is not None  # noqa: S101 - readers get an open lease
        try:
            answer = await self._run(partial(work, self._connection))
        except Error as error:
            if self._given or not is_lost(error):
                raise self._store.explain(error) from error
            await self._drop_lost(self._connection)
            renew(await self._begin_anew())
            try:
                answer = await self._run(partial(work, self._connection))
            except Error as again:
                raise self._store.explain(again) from again
        self._given = True
        return answer

    async def close(self) -> None:
        """End the transaction and give the connection back."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await self._store.in_thread(lambda: connection.run("ROLLBACK"))
        except Error:
            await asyncio.to_thread(connection.close)
            return
        if self._store.closed:
            await asyncio.to_thread(connection.close)
        else:
            self._idle.append(connection)

    async def _drop_lost(self, connection: Connection) -> None:
        """Close a connection, and those that wait: where one is lost, others are too."""
        self._connection = None
        waiting, self._idle[:] = [connection, *self._idle], []
        for lost in waiting:
            await asyncio.to_thread(lost.close)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        """Run work in a thread; a question that is cancelled cancels the statement, and waits until it has ended."""
        working = self._store.begin(work)
        task = asyncio.wrap_future(working)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.shield(self._stop(working, task))
            raise

    async def _stop(self, working: "Future[Any]", task: "asyncio.Future[Any]") -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 - the work uses it
        until = time.monotonic() + _PATIENCE
        while not task.done() and time.monotonic() < until:
            cancelling = asyncio.ensure_future(self._store.in_thread(partial(_cancel, connection)))
            await asyncio.wait(
                [task, cancelling], timeout=until - time.monotonic(), return_when=asyncio.FIRST_COMPLETED
            )
            await asyncio.wait([task], timeout=0.02)
        if task.done():
            if not task.cancelled():
                task.exception()  # that it was stopped
            return
        # The server is gone without a word: whoever asked waits no longer, and the connection is given up.
        self._connection = None
        working.add_done_callback(lambda _: connection.close())
        task.cancel()  # nobody looks at what comes of it


class PostgresReader:
    """One transaction; see `ceems_grpc.store.protocols.Reader`."""

    def __init__(self, lease: Lease, state: State) -> None:
        self._lease = lease
        self._state = state

    @property
    def zone(self) -> tzinfo:
        """The zone in which all sites write their local times, or `SEVERAL_ZONES`."""
        return self._state.zone

    def has(self, table: Table, column: str | None = None) -> bool:
        """Tell whether some site has the table (and the column)."""
        found = self._state.catalog.tables.get(table)
        return found is not None and (column is None or column in found.columns)

    def facts(self, location: str) -> Facts:
        """Describe the database; of several sites each is one of ``parts``."""
        sites = self._state.sites
        together = self._facts_of(location, sites)
        parts = tuple(PartFacts(site.name, self._facts_of(location, (site,)), *[_problem(site)] * 2) for site in sites)
        return replace(together, parts=parts) if len(parts) > 1 or parts[0].problem else together

    def _facts_of(self, location: str, sites: tuple[Site, ...]) -> Facts:
        newest = [site.newest for site in sites if site.newest is not None]
        return Facts(
            location=location,
            schema_version=min(site.schema_version for site in sites),
            zone=", ".join(sorted({str(zone_of_text(site.zone)) for site in sites})),
            zone_guessed=False,
            clusters=tuple(sorted({pair for site in sites for pair in site.resources})),
            units=sum(site.units for site in sites),
            newest_update=datetime.fromtimestamp(max(newest), UTC) if newest else None,
            missing_tables=tuple(table for table in Table if not self.has(table)),
        )

    async def reach_shards(self) -> None:
        """Return if all servers that hold partitions answer."""

        def work(connection: Connection) -> None:
            for place in map(self._state.catalog.place, self._state.catalog.shards):
                connection.fetch(f"SELECT 1 FROM {place} LIMIT 1")  # noqa: S608 - a quoted name

        await self._ask(work)

    async def table(self, scan: Scan) -> pa.Table:
        """Return all rows of a scan, JSON columns taken apart where `AllKeys` asks for it."""

        def work(connection: Connection) -> pa.Table:
            sql = self._sql(scan.table)
            statement, names = sql.scan(scan)
            return put_together(scan, names, _fetch(connection, statement, sql))

        return await self._ask(work)

    async def batches(self, scan: Scan) -> AsyncIterator[pa.RecordBatch]:
        """Return the rows of a scan bit by bit."""
        if not all(isinstance(column, str) for column in scan.columns):
            raise ValueError("batches() gives JSON columns as text; use table() for AllKeys")

        def start(connection: Connection) -> tuple[pa.Schema, Any, pa.Table]:
            sql = self._sql(scan.table)
            statement, names = sql.scan(scan)
            schema = pa.schema([(name, type_of(name)) for name in names])
            parts = connection.fetch_in_parts(statement, sql.parameters, _ROWS_A_BATCH)
            entered = enter("database", "postgresql", statement, sql.parameters)
            began = time.perf_counter()
            part = next(parts)
            entered.ran(began, part.num_rows)
            return schema, (parts, entered), part

        schema, (parts, entered), part = await self._ask(start)
        while part is not None:
            table = pa.table(part.columns, names=schema.names).cast(schema)
            yield _batch_of(table)
            began = time.perf_counter()
            part = await self._ask(lambda _: next(parts, None))
            entered.ran(began, 0 if part is None else part.num_rows)

    async def aggregate(self, plan: Aggregate) -> pa.Table:
        """Return one row per group."""
        fields = [(name, pa.string()) for name in plan.by] + ([("day", pa.int64())] if plan.day else [])
        fields += [(measure.name, type_of_measure(measure)) for measure in plan.measures]

        def work(connection: Connection) -> pa.Table:
            sql = self._sql(plan.table)
            pieces = postgres_summed.can_sum(sql.catalog, plan)
            statement = sql.aggregate(plan) if pieces is None else postgres_summed.aggregate(sql, plan, pieces)
            return _as(pa.schema(fields), _fetch(connection, statement, sql))

        return await self._ask(work)

    async def spread(self, plan: Spread) -> pa.Table:
        """Return one row per group and step."""
        fields = [(name, pa.string()) for name in plan.by] + [("step", pa.int64())]
        fields += [(measure.name, type_of_measure(measure)) for measure in plan.measures]

        def work(connection: Connection) -> pa.Table:
            sql = self._sql(Table.UNITS)
            return _as(pa.schema(fields), _fetch(connection, sql.spread(plan), sql))

        return await self._ask(work)

    async def keys(self, plan: KeyScan) -> dict[str, tuple[str, ...]]:
        """Return the sorted keys of each column; a column without any has an empty tuple."""
        found: dict[str, set[str]] = {column: set() for column in plan.columns}

        def work(connection: Connection) -> None:
            sql = self._sql(plan.table)
            pieces = postgres_summed.pieces_of(sql.catalog, plan.table, plan.where) if plan.recent is None else None
            statement, keys = sql.keys(plan) if pieces is None else postgres_summed.keys(sql, plan, pieces)
            if keys:
                (present,) = _fetch(connection, statement, sql).to_pylist()
                for (column, key), is_there in zip(keys, present.values(), strict=True):
                    if is_there:
                        found[column].add(key)
            for column in plan.columns:
                if not is_metric(column):
                    sql = self._sql(plan.table)
                    found[column].update(
                        _fetch(connection, sql.keys_of_object(plan, column), sql).column(0).to_pylist()
                    )

        await self._ask(work)
        return {column: tuple(sorted(keys)) for column, keys in found.items()}

    async def distinct(self, plan: Distinct) -> pa.Table:
        """Return the different values of the columns, ordered by them."""
        schema = pa.schema([(name, type_of(name)) for name in plan.columns])

        def work(connection: Connection) -> pa.Table:
            sql = self._sql(plan.table)
            return _as(schema, _fetch(connection, sql.distinct(plan), sql))

        return await self._ask(work)

    def _sql(self, table: Table) -> PostgresSql:
        return PostgresSql(table, self._state.catalog)

    async def _ask(self, work: Callable[[Connection], _Result]) -> _Result:
        return await self._lease.ask(work, self._renew)

    def _renew(self, state: State) -> None:
        self._state = state


def _fetch(connection: Connection, statement: str, sql: PostgresSql) -> pa.Table:
    entered = enter("database", "postgresql", statement, sql.parameters)
    began = time.perf_counter()
    rows = connection.fetch(statement, sql.parameters)
    entered.ran(began, rows.num_rows)
    return rows


def _as(schema: pa.Schema, rows: pa.Table) -> pa.Table:
    return pa.table(rows.columns, names=schema.names).cast(schema)


def _batch_of(table: pa.Table) -> pa.RecordBatch:
    arrays = [
        pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type) for column in table.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)


def _site(row: dict[str, Any]) -> Site:
    return Site(
        name=row["site"],
        zone=row["zone"],
        schema_version=row["schema_version"],
        commits=row["commits"],
        newest=row["newest"],
        units=row["units"],
        resources=tuple((str(cluster), str(manager)) for cluster, manager in msgspec.json.decode(row["resources"])),
        complete=row["complete"],
        rollups=row["rollups"],
        fed_at=row["fed_at"],
    )


def _problem(site: Site) -> str:
    """Say what is wrong with a site's feeding, "" for nothing."""
    if not site.complete:
        return "its feeder has not written all rows yet, so answers lack some"
    if datetime.now(UTC) - site.fed_at > _STALE:
        return f"its feeder last wrote {site.fed_at:%Y-%m-%d %H:%M} UTC (check that `ceems-grpc feed` runs)"
    return ""


def _cancel(connection: Connection) -> None:
    with suppress(Error):  # a server that is gone cannot be told
        connection.cancel()


def _close_when_made(connecting: "Future[Connection]") -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()

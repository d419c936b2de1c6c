"""The Store service: rows of this host's database, for a plugin that merges them with other sources.

Its callers may read every row. The server trusts a plugin in any case about who asks, and here the plugin also enforces
the rights of users.
"""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import msgspec
import pyarrow as pa

from ceems_grpc.grafana.serve.services.rpc import Method, service
from ceems_grpc.pb import store_pb2 as pb
from ceems_grpc.schema import Type
from ceems_grpc.store.columnar.zone_text import write_zone
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.merged.session import Session
from ceems_grpc.store.merged.source_handle import SourceHandle
from ceems_grpc.store.plan import Aggregate, Distinct, Histogram, KeyScan, Plan, Scan, Spread, Table
from ceems_grpc.store.plan.codec import COLUMNS, decode_plan
from ceems_grpc.store.protocols import Reader, Store
from ceems_grpc.store.remote.store import names_of
from ceems_grpc.store.runtime.admission import Queue
from ceems_grpc.store.runtime.cost import CostClass, cost_of_plan

_log = logging.getLogger(__name__)
_Rpc = grpc.aio.ServicerContext[Any, Any]
_Result = TypeVar("_Result")
_NewColumns = Callable[[Table], Mapping[str, Type]]

_MOST_READERS = 64
_LONGEST = 600.0  # seconds for which a reader can stay open
_IDLE = 60.0  # seconds without a query after which a reader is closed, because it blocks checkpoints
_LOOK = 1.0  # seconds between two checks of these limits
_ROWS = 65_536  # in a message
_BYTES = 8 * 1024 * 1024  # in a message at most, unless a single row is larger
_OVERHEAD = 64 * 1024  # bytes of a message besides its rows, such as the names of columns


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """The limits for a plan; None means no limit.

    ``rows``: the rows of a scan. One more row is allowed, by which the client sees that there are more. ``seconds``:
    the time of the database's work, without the time that the client takes to read. ``message``: bytes of a message.
    """

    rows: int | None = None
    seconds: float | None = None
    message: int = _BYTES


class _Open:
    """An open reader, and the time of its last query."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.asked = time.monotonic()
        self.running = 0
        self.new_columns: _NewColumns | None = None


class StoreService:
    """Answers plans from a store. Plans wait in the same queue as the questions of data sources."""

    def __init__(self, store: Store, queue: Queue, limits: StoreLimits | None = None) -> None:
        self._store = store
        self._queue = queue
        self._limits = limits or StoreLimits()
        self._source = SourceHandle("", lambda: store, None)
        self._open: dict[bytes, _Open] = {}

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of the service for a gRPC server."""
        methods: dict[str, Method] = {
            "Version": self.version,
            "Describe": self.describe,
            "Read": self.read,
            "Ask": self.ask,
        }
        return service(pb.DESCRIPTOR.services_by_name["Store"], methods)

    async def version(self, _request: pb.VersionRequest, _rpc: _Rpc) -> pb.VersionResponse:
        """Return the version of the database, as bytes that change with the database."""
        try:
            version = await self._store.version()
        except StoreError as error:
            return pb.VersionResponse(failure=_failure(error))
        return pb.VersionResponse(version=hashlib.sha256(repr(version).encode()).digest())

    async def describe(self, _request: pb.DescribeRequest, _rpc: _Rpc) -> pb.DescribeResponse:
        """Describe the database."""
        try:
            async with self._queue.turn(CostClass.SMALL):
                return pb.DescribeResponse(facts=msgspec.json.encode(await self._store.facts()))
        except StoreError as error:
            return pb.DescribeResponse(failure=_failure(error))

    async def read(self, _request: pb.ReadRequest, _rpc: _Rpc) -> AsyncIterator[pb.ReadResponse]:
        """Open a reader. It is closed when the call ends or when it is idle for too long."""
        if len(self._open) >= _MOST_READERS:
            yield pb.ReadResponse(failure=_failure(StoreBusyError("Its server is busy; try again in a moment.")))
            return
        name = secrets.token_bytes(16)
        session = Session(self._source)
        held = self._open[name] = _Open(session)
        try:
            opened = await self._work(session, CostClass.SMALL, _describe)
            held.new_columns = opened[2]
            new = {f"{table}.{name}": str(type_) for table in Table for name, type_ in opened[2](table).items()}
            yield pb.ReadResponse(reader=name, zone=opened[0], names=opened[1], new_columns=new, new_types=new.values())
            await _until_idle(held)
        except StoreError as error:
            yield pb.ReadResponse(failure=_failure(error))
        finally:
            del self._open[name]
            await session.close()

    async def ask(self, request: pb.AskRequest, _rpc: _Rpc) -> AsyncIterator[pb.AskResponse]:
        """Answer a plan from an open reader."""
        held = self._open.get(request.reader)
        try:
            if held is None:
                raise StoreBusyError("Its server has closed the question; ask again.")
            try:
                plan = decode_plan(request.plan, held.new_columns)
            except ValueError as error:
                raise StoreError(
                    "Its server has another version; install the same version on both hosts.", str(error)
                ) from None
            held.running += 1
            try:
                async with aclosing(self._answer(held.session, plan, by_batches=request.by_batches)) as answer:
                    async for part in answer:
                        yield part
            finally:
                held.running -= 1
                held.asked = time.monotonic()
        except StoreError as error:
            yield pb.AskResponse(failure=_failure(error))
        except Exception as error:  # for a plan that no plugin sends; only its own reader ends
            yield pb.AskResponse(failure=_failure(StoreError("Its server could not answer.", repr(error))))

    async def _answer(self, session: Session, plan: Plan, *, by_batches: bool) -> AsyncGenerator[pb.AskResponse, None]:
        cost = cost_of_plan(plan)
        match plan:
            case KeyScan():
                keys = await self._work(session, cost, lambda reader: reader.keys(plan))
                yield pb.AskResponse(keys=msgspec.json.encode(keys))
                return
            case Scan():
                scan = self._limited(plan)
                tables = self._batches(session, cost, scan) if by_batches else self._table(session, cost, scan)
            case Aggregate():
                tables = _one(await self._work(session, cost, lambda reader: reader.aggregate(plan)))
            case Spread():
                tables = _one(await self._work(session, cost, lambda reader: reader.spread(plan)))
            case Histogram():
                tables = _one(await self._work(session, cost, lambda reader: reader.histogram(plan)))
            case Distinct():
                tables = _one(await self._work(session, cost, lambda reader: reader.distinct(plan)))
        async with aclosing(tables):
            async for table in tables:
                for rows in _cut(table, min(_BYTES, self._limits.message - _OVERHEAD)):
                    yield pb.AskResponse(rows=await asyncio.to_thread(_written, rows))

    async def _table(self, session: Session, cost: CostClass, scan: Scan) -> AsyncGenerator[pa.Table, None]:
        table = await self._work(session, cost, lambda reader: reader.table(scan))
        self._check_rows(scan, table.num_rows)
        yield table

    async def _batches(self, session: Session, cost: CostClass, scan: Scan) -> AsyncGenerator[pa.Table, None]:
        found: Any = await self._work(session, cost, _as_is(scan))
        rows = 0
        try:
            while (batch := await self._work(session, cost, lambda _: anext(found, None))) is not None:
                rows += batch.num_rows
                self._check_rows(scan, rows)
                yield pa.Table.from_batches([batch])
        finally:
            if not session.is_lost:
                await session.ask(lambda _: found.aclose())

    async def _work(self, session: Session, cost: CostClass, work: Callable[[Reader], Awaitable[_Result]]) -> _Result:
        """Run work in its turn of the queue. No turn is held while the client reads: it may wait for others."""
        async with self._queue.turn(cost):
            try:
                async with asyncio.timeout(self._limits.seconds):
                    return await session.ask(work)
            except TimeoutError:
                raise StoreBusyError(
                    f"Its server stopped the question after {self._limits.seconds:g} s; narrow it.",
                    f"A plan took longer than {self._limits.seconds:g} s (--query-timeout of the server).",
                ) from None

    def _limited(self, scan: Scan) -> Scan:
        """Return the scan with the limit at which `_check_rows` sees that there are too many rows."""
        if self._limits.rows is None or scan.table is not Table.UNITS:
            return scan
        most = self._limits.rows + 2
        return msgspec.structs.replace(scan, limit=most if scan.limit is None else min(scan.limit, most))

    def _check_rows(self, scan: Scan, rows: int) -> None:
        if self._limits.rows is not None and scan.table is Table.UNITS and rows > self._limits.rows + 1:
            raise StoreError(
                f"Its server returns at most {self._limits.rows} units; narrow the question.",
                f"An answer has more than {self._limits.rows} units (--row-limit of the server).",
            )


async def _describe(reader: Reader) -> tuple[str, list[str], _NewColumns]:
    return write_zone(reader.zone), names_of(reader.has, dict(COLUMNS)), reader.new_columns


async def _until_idle(held: _Open) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _LONGEST:
        await asyncio.sleep(_LOOK)
        if not held.running and time.monotonic() - held.asked > _IDLE:
            return


def _as_is(scan: Scan) -> Any:  # noqa: ANN401 - a function that returns an iterator
    async def open_batches(reader: Reader) -> AsyncIterator[pa.RecordBatch]:
        return reader.batches(scan)

    return open_batches


async def _one(table: pa.Table) -> AsyncGenerator[pa.Table, None]:
    yield table


def _cut(table: pa.Table, most: int) -> Iterator[pa.Table]:
    """Split a table into pieces that fit into messages. An empty table and a single row are one piece each."""
    if table.num_rows > 1 and (table.num_rows > _ROWS or table.nbytes > most):
        half = table.num_rows // 2
        yield from _cut(table.slice(0, half), most)
        yield from _cut(table.slice(half), most)
    else:
        yield table


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _failure(error: StoreError) -> pb.Failure:
    _log.warning("the database did not answer", extra={"detail": error.detail})
    return pb.Failure(kind=type(error).__name__, message=str(error), detail=error.detail)

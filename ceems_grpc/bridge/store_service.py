"""The Store service: rows of this host's database for a plugin that merges them with other sources.

Who may call it may read every row: the server believes a plugin who asks anyway, and here the plugin does the rest.
"""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import msgspec
import pyarrow as pa

from ceems_grpc.plugin.pb import store_pb2 as pb
from ceems_grpc.plugin.rpc import Method, service
from ceems_grpc.remote_store import names_of
from ceems_grpc.store.base import Reader, Store
from ceems_grpc.store.errors import StoreBusyError, StoreError
from ceems_grpc.store.part import Part, Session
from ceems_grpc.store.plan import Aggregate, Distinct, KeyScan, Scan, Spread
from ceems_grpc.store.queue import Queue, Size
from ceems_grpc.store.wire import COLUMNS, Plan, read_plan, write_zone

_log = logging.getLogger(__name__)
_Rpc = grpc.aio.ServicerContext[Any, Any]

_MOST_READERS = 64
_LONGEST = 600.0  # seconds for which a reader may be open
_IDLE = 60.0  # seconds for which it may be asked nothing: it holds back the database's writer
_LOOK = 1.0  # seconds between two looks at that
_ROWS = 65_536  # of a message
_BYTES = 8 * 1024 * 1024  # of a message, about


class _Open:
    """An open reader, and when it was asked last."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.asked = time.monotonic()
        self.running = 0


class StoreService:
    """Answers plans about a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._part = Part("", lambda: store, None)
        self._open: dict[bytes, _Open] = {}
        self._queue = Queue()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server is given."""
        methods: dict[str, Method] = {
            "Version": self.version,
            "Describe": self.describe,
            "Read": self.read,
            "Ask": self.ask,
        }
        return service(pb.DESCRIPTOR.services_by_name["Store"], methods)

    async def version(self, _request: pb.VersionRequest, _rpc: _Rpc) -> pb.VersionResponse:
        """Return the version of the database, as bytes that differ after every change."""
        try:
            version = await self._store.version()
        except StoreError as error:
            return pb.VersionResponse(failure=_failure(error))
        return pb.VersionResponse(version=hashlib.sha256(repr(version).encode()).digest())

    async def describe(self, _request: pb.DescribeRequest, _rpc: _Rpc) -> pb.DescribeResponse:
        """Return what the database is."""
        try:
            return pb.DescribeResponse(facts=msgspec.json.encode(await self._store.facts()))
        except StoreError as error:
            return pb.DescribeResponse(failure=_failure(error))

    async def read(self, _request: pb.ReadRequest, _rpc: _Rpc) -> AsyncIterator[pb.ReadResponse]:
        """Open a reader; close it when the call ends, or when it is not used any more."""
        if len(self._open) >= _MOST_READERS:
            yield pb.ReadResponse(failure=_failure(StoreBusyError("Its server is busy; try again in a moment.")))
            return
        name = secrets.token_bytes(16)
        session = Session(self._part)
        held = self._open[name] = _Open(session)
        try:
            opened = await session.ask(_describe)
            yield pb.ReadResponse(reader=name, zone=opened[0], names=opened[1])
            await _until_needless(held)
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
                plan = read_plan(request.plan)
            except ValueError as error:
                raise StoreError(
                    "Its server is of another version; install the same on both hosts.", str(error)
                ) from None
            held.running += 1
            try:
                answer = _answer(held.session, plan, by_batches=request.by_batches)
                async with self._queue.turn(Size.SMALL), aclosing(answer):
                    async for part in answer:
                        yield part
            finally:
                held.running -= 1
                held.asked = time.monotonic()
        except StoreError as error:
            yield pb.AskResponse(failure=_failure(error))


async def _describe(reader: Reader) -> tuple[str, list[str]]:
    return write_zone(reader.zone), names_of(reader.has, dict(COLUMNS))


async def _until_needless(held: _Open) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _LONGEST:
        await asyncio.sleep(_LOOK)
        if not held.running and time.monotonic() - held.asked > _IDLE:
            return


async def _answer(session: Session, plan: Plan, *, by_batches: bool) -> AsyncGenerator[pb.AskResponse, None]:
    match plan:
        case KeyScan():
            keys = await session.ask(lambda reader: reader.keys(plan))
            yield pb.AskResponse(keys=msgspec.json.encode(keys))
            return
        case Scan() if by_batches:
            async for rows in _batches(session, plan):
                yield pb.AskResponse(rows=await asyncio.to_thread(_written, rows))
            return
        case Scan():
            table = await session.ask(lambda reader: reader.table(plan))
        case Aggregate():
            table = await session.ask(lambda reader: reader.aggregate(plan))
        case Spread():
            table = await session.ask(lambda reader: reader.spread(plan))
        case Distinct():
            table = await session.ask(lambda reader: reader.distinct(plan))
    for rows in _cut(table):
        yield pb.AskResponse(rows=await asyncio.to_thread(_written, rows))


async def _batches(session: Session, scan: Scan) -> AsyncIterator[pa.Table]:
    found: Any = await session.ask(_as_is(scan))
    try:
        while (batch := await session.ask(lambda _: anext(found, None))) is not None:
            yield pa.Table.from_batches([batch])
    finally:
        await session.ask(lambda _: found.aclose())


def _as_is(scan: Scan) -> Any:  # noqa: ANN401 - a function that gives an iterator
    async def open_batches(reader: Reader) -> AsyncIterator[pa.RecordBatch]:
        return reader.batches(scan)

    return open_batches


def _cut(table: pa.Table) -> list[pa.Table]:
    """Cut a table into pieces that fit into messages; a table without rows is one piece."""
    width = max(table.nbytes // max(table.num_rows, 1), 1)
    rows = max(min(_ROWS, _BYTES // width), 1)
    return [table.slice(start, rows) for start in range(0, max(table.num_rows, 1), rows)]


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _failure(error: StoreError) -> pb.Failure:
    _log.warning("the database did not answer", extra={"detail": error.detail})
    return pb.Failure(kind=type(error).__name__, message=str(error), detail=error.detail)

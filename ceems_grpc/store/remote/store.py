"""A store for the database of another host, whose `ceems-grpc server` answers plans with Arrow tables."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import tzinfo
from typing import NoReturn, TypeVar

import grpc
import msgspec
import pyarrow as pa
from google.protobuf.message import DecodeError, Message

from ceems_grpc.pb import store_pb2 as pb
from ceems_grpc.schema import Type
from ceems_grpc.store import errors
from ceems_grpc.store.columnar.zone_text import read_zone
from ceems_grpc.store.errors import StoreBusyError, StoreError, StorePermissionError
from ceems_grpc.store.plan import Aggregate, Distinct, Histogram, KeyScan, Plan, Scan, Spread, Table
from ceems_grpc.store.plan.codec import encode_plan
from ceems_grpc.store.protocols import Facts
from ceems_grpc.store.remote.connection import BridgeConnection
from ceems_grpc.store.remote.endpoint import Endpoint
from ceems_grpc.store.remote.errors import AnsweredError, Cause, RemoteError
from ceems_grpc.store.runtime.query_trace import record

SERVICE = "/ceems.v1.Store/"
_LARGE = 256 * 1024  # bytes of one part, from which it is decoded in a thread
_Message = TypeVar("_Message", bound=Message)
_KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, StoreError)}
_WORDS = {
    Cause.NAME: "The name of its server cannot be resolved.",
    Cause.NETWORK: "Its server cannot be reached.",
    Cause.TLS: "The connection to its server is not secure, and is not used.",
    Cause.REFUSED: "Its server refuses this Grafana.",
    Cause.VERSION: "Its server has another version; install the same version on both hosts.",
    Cause.SIZE: "Its answer exceeds the size limit; narrow the question.",
    Cause.BUSY: "Its server has too many questions to answer; try again in a moment.",
    Cause.DEADLINE: "Its server did not answer in time.",
}
_FOR_A_WHILE = {Cause.NETWORK, Cause.BUSY, Cause.DEADLINE}


class RemoteStore:
    """Queries the server at an endpoint. The first query connects."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: BridgeConnection | None = None

    @asynccontextmanager
    async def read(self) -> AsyncIterator["RemoteReader"]:
        """Open a reader on the server. The server closes it when this block ends."""
        async with aclosing(self._stream("Read", pb.ReadRequest(), pb.ReadResponse)) as lease:
            opened = await anext(lease, None)
            if opened is None:
                raise StoreBusyError("Its server ended the question; ask again.")
            yield RemoteReader(self, opened)

    async def facts(self) -> Facts:
        """Describe the database."""
        answer = await self._call("Describe", pb.DescribeRequest(), pb.DescribeResponse)
        _check(answer.failure)
        try:
            return msgspec.json.decode(answer.facts, type=Facts)
        except msgspec.DecodeError as error:
            raise _unreadable(error) from None

    async def version(self) -> Hashable:
        """Return the server's version of the database."""
        answer = await self._call("Version", pb.VersionRequest(), pb.VersionResponse)
        _check(answer.failure)
        return answer.version

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    def ask(self, reader: bytes, plan: Plan, *, by_batches: bool = False) -> AsyncGenerator[pb.AskResponse, None]:
        """Yield the parts of an answer from an open reader."""
        try:
            encoded = encode_plan(plan)
        except UnicodeEncodeError:
            raise StoreError("The question contains half of a surrogate pair, which is not a character.") from None
        request = pb.AskRequest(reader=reader, plan=encoded, by_batches=by_batches)
        return self._stream("Ask", request, pb.AskResponse)

    def _connected(self) -> BridgeConnection:
        if self._connection is None:
            try:
                self._connection = BridgeConnection(self._endpoint)
            except RemoteError as error:
                _fail(error)
        return self._connection

    async def _call(self, method: str, request: Message, answer: type[_Message]) -> _Message:
        try:
            found = await self._connected().call(SERVICE + method, request.SerializeToString(), seconds=None)
        except (RemoteError, AnsweredError) as error:
            _fail(error)
        return _parsed(answer, found)

    async def _stream(self, method: str, request: Message, answer: type[_Message]) -> AsyncGenerator[_Message, None]:
        parts = self._connected().stream(SERVICE + method, request.SerializeToString(), seconds=None)
        try:
            async with aclosing(parts):
                async for part in parts:
                    message = _parsed(answer, part)
                    _check(getattr(message, "failure"))  # noqa: B009 - all answers of the service have one
                    yield message
        except (RemoteError, AnsweredError) as error:
            _fail(error)


class RemoteReader:
    """A reader that is open on the server; see `ceems_grpc.store.protocols.Reader`."""

    def __init__(self, store: RemoteStore, opened: pb.ReadResponse) -> None:
        self._store = store
        self._reader = opened.reader
        self._names = frozenset(opened.names) | frozenset(opened.new_columns)
        try:
            self._new = dict(zip(opened.new_columns, map(Type, opened.new_types), strict=True))
            self._zone = read_zone(opened.zone)
        except ValueError as error:
            raise _unreadable(error) from None

    @property
    def zone(self) -> tzinfo:
        """The time zone in which the site writes its local times."""
        return self._zone

    def has(self, table: Table, column: str | None = None) -> bool:
        """Return whether the database has the table (and the column)."""
        return (table.value if column is None else f"{table.value}.{column}") in self._names

    def new_columns(self, table: Table) -> Mapping[str, Type]:
        """Return the columns that the schema does not describe, and their types."""
        prefix = f"{table.value}."
        return {name.removeprefix(prefix): type_ for name, type_ in self._new.items() if name.startswith(prefix)}

    async def table(self, scan: Scan) -> pa.Table:
        """Return all rows of a scan."""
        return await self._rows(scan)

    async def batches(self, scan: Scan) -> AsyncIterator[pa.RecordBatch]:
        """Return the rows of a scan in batches."""
        async with aclosing(self._store.ask(self._reader, scan, by_batches=True)) as parts:
            async for part in parts:
                table = await _read_table(part.rows)
                for batch in table.to_batches() or [_empty(table.schema)]:
                    yield batch

    async def aggregate(self, plan: Aggregate) -> pa.Table:
        """Return one row per group."""
        return await self._rows(plan)

    async def spread(self, plan: Spread) -> pa.Table:
        """Return one row per group and step."""
        return await self._rows(plan)

    async def histogram(self, plan: Histogram) -> pa.Table:
        """Return the number of units per group, step and bucket."""
        return await self._rows(plan)

    async def keys(self, plan: KeyScan) -> dict[str, tuple[str, ...]]:
        """Return the sorted keys of each column."""
        async with aclosing(self._store.ask(self._reader, plan)) as parts:
            async for part in parts:
                try:
                    return msgspec.json.decode(part.keys, type=dict[str, tuple[str, ...]])
                except msgspec.DecodeError as error:
                    raise _unreadable(error) from None
        raise _unreadable("nothing")

    async def distinct(self, plan: Distinct) -> pa.Table:
        """Return the distinct values of the columns, sorted."""
        return await self._rows(plan)

    async def _rows(self, plan: Plan) -> pa.Table:
        recorded, began = record("server", "remote", type(plan).__name__, (plan,)), time.perf_counter()
        async with aclosing(self._store.ask(self._reader, plan)) as parts:
            tables = [await _read_table(part.rows) async for part in parts]
        if not tables:
            raise _unreadable("nothing")
        rows = await asyncio.to_thread(pa.concat_tables, tables) if len(tables) > 1 else tables[0]
        recorded.ran(began, rows.num_rows)
        return rows


async def _read_table(rows: bytes) -> pa.Table:
    """Decode rows, large ones in a thread."""
    return _table(rows) if len(rows) < _LARGE else await asyncio.to_thread(_table, rows)


def _table(rows: bytes) -> pa.Table:
    try:
        with pa.ipc.open_stream(rows) as reader:
            return reader.read_all()
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(error) from None


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _parsed(kind: type[_Message], data: bytes) -> _Message:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise _unreadable(error) from None


def _check(failure: pb.Failure) -> None:
    """Raise the error that the server reports, if any."""
    if failure.kind:
        make: Callable[[str, str], StoreError] = _KINDS.get(failure.kind, StoreError)
        raise make(failure.message, failure.detail)


def _unreadable(why: object) -> StoreError:
    return StoreError("Its server sent an answer that cannot be read.", f"The answer cannot be read: {why}")


def _fail(error: RemoteError | AnsweredError) -> NoReturn:
    if isinstance(error, AnsweredError):
        if error.code is grpc.StatusCode.UNIMPLEMENTED:
            raise StoreError(_WORDS[Cause.VERSION], error.details) from None
        raise StoreError("Its server could not answer.", f"{error.code.name}: {error.details}") from None
    kind: type[StoreError] = StoreBusyError if error.cause in _FOR_A_WHILE else StoreError
    kind = StorePermissionError if error.cause is Cause.REFUSED else kind
    raise kind(_WORDS[error.cause], str(error)) from None


def names_of(has: Callable[[Table, str | None], bool], columns: dict[Table, Sequence[str]]) -> list[str]:
    """Return the tables and columns of a reader as `pb.ReadResponse` lists them."""
    found = [table.value for table in columns if has(table, None)]
    return found + [
        f"{table.value}.{column}" for table, names in columns.items() for column in names if has(table, column)
    ]

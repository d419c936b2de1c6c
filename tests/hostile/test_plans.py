"""The Store service of a server: a plan can only name tables and columns; nothing in it becomes SQL."""

import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pyarrow as pa
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceems_grpc.pb import store_pb2 as pb
from ceems_grpc.store.plan import Aggregate, Count, In, Scan, Table
from ceems_grpc.store.plan.codec import decode_plan, encode_plan
from ceems_grpc.store.remote.protocol import PROTOCOL, PROTOCOL_KEY, TOKEN_KEY, TOKEN_PREFIX
from tests.hostile.test_query_models import METACHARACTERS
from tests.hostile.wellness import MEBIBYTE, check_words, peak_memory
from tests.support.bridge_servers import Files, Server, serving
from tests.support.databases import NOON
from tests.support.plans import plans
from tests.support.plugin.process import alive

pytestmark = pytest.mark.asyncio(loop_scope="module")

_METADATA = (PROTOCOL_KEY, str(PROTOCOL))


class Asking:
    """Sends plans to a server's Store service with an open reader."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._channel = channel
        self.metadata = ((TOKEN_KEY, TOKEN_PREFIX + token), _METADATA)

    async def open(self) -> tuple[Any, bytes]:
        method: Any = self._channel.unary_stream("/ceems.v1.Store/Read")
        call = method(b"", metadata=self.metadata)
        opened = pb.ReadResponse.FromString(await call.read())
        assert not opened.failure.kind, opened.failure
        return call, opened.reader

    async def ask_once(self, plan: bytes, *, by_batches: bool = False) -> str:
        """Ask with a new reader, since a failing question may end its reader; return the error."""
        call, reader = await self.open()
        message, _ = await self.ask(reader, plan, by_batches=by_batches)
        call.cancel()
        return message

    async def ask(self, reader: bytes, plan: bytes, *, by_batches: bool = False) -> tuple[str, list[pb.AskResponse]]:
        """Return the error (its message for all users) and the answers."""
        request = pb.AskRequest(reader=reader, plan=plan, by_batches=by_batches).SerializeToString()
        method: Any = self._channel.unary_stream("/ceems.v1.Store/Ask")
        call = method(request, metadata=self.metadata, timeout=20)
        answers = [pb.AskResponse.FromString(data) async for data in call]
        failures = [answer.failure for answer in answers if answer.failure.kind]
        for failure in failures:
            check_words(failure.message)
        return failures[0].message if failures else "", answers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(database: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Server, str]]:
    files = Files(tmp_path_factory.mktemp("server"))
    async with serving("--plain-text", *files.tokens, "--database", str(database)) as server:
        before = peak_memory(server.process.pid)
        yield server, files.token
        assert alive(server.process.pid)
        assert peak_memory(server.process.pid) - before < 400 * MEBIBYTE
        assert not [line for line in server.log if "Traceback" in json.dumps(line)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asking(server: tuple[Server, str]) -> AsyncIterator[tuple[Asking, bytes]]:
    running, token = server
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
        asking = Asking(channel, token)
        call, reader = await asking.open()
        yield asking, reader
        message, answers = await asking.ask(reader, encode_plan(Aggregate(Table.UNITS, (), (Count("n"),))))
        assert not message
        with pa.ipc.open_stream(answers[0].rows) as rows:
            assert rows.read_all().to_pydict() == {"n": [5]}
        call.cancel()


def _changed(value: Any, draw: Any) -> Any:
    """Replace a value somewhere in an encoded plan."""
    if isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 9)) == 0:
            return {name: part for name, part in value.items() if name != key}
        return {**value, key: _changed(value[key], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _changed(value[place], draw), *value[place + 1 :]]
    return draw(
        st.one_of(
            st.sampled_from(METACHARACTERS),
            st.none(),
            st.booleans(),
            st.text(max_size=5),
            st.floats(),
            st.sampled_from(
                (
                    0,
                    -1,
                    2**31,
                    2**63 - 1,
                    2**63,
                    2**64 - 1,
                    1e40,
                    -(2.0**63) - 1e4,
                    [],
                    {},
                    [[]],
                    {"is": "Scan"},
                    b"uuid",
                    msgspec.msgpack.Ext(5, b"\0"),
                    datetime(2026, 1, 1, tzinfo=UTC),
                    {"is": "Key", "column": "tags`", "name": "'"},
                )
            ),
        )
    )


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(plan=plans(NOON), data=st.data())
async def test_changed_plans(asking: tuple[Asking, bytes], plan: Any, data: st.DataObject) -> None:
    ask, _ = asking
    written = msgspec.msgpack.decode(encode_plan(plan))
    for _ in range(data.draw(st.integers(1, 3))):
        written = _changed(written, data.draw)
    body = msgspec.msgpack.encode(written)
    await ask.ask_once(body, by_batches=data.draw(st.booleans()))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.one_of(
        st.binary(max_size=100),
        st.recursive(
            st.none() | st.text(max_size=3) | st.integers(-(2**63), 2**64 - 1),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(("is", "table", "where", "parts")), inner),
        ).map(msgspec.msgpack.encode),
    )
)
async def test_what_is_no_plan(asking: tuple[Asking, bytes], body: bytes) -> None:
    ask, reader = asking
    message, _ = await ask.ask(reader, body)
    assert message == "Its server has another version; install the same version on both hosts."


@pytest.mark.parametrize("text", METACHARACTERS)
async def test_names_that_are_no_columns(asking: tuple[Asking, bytes], text: str) -> None:
    ask, reader = asking
    plans = (
        Scan(Table.UNITS, (text,)),
        Scan(Table.UNITS, ("uuid",), In(text, ("x",))),
        Aggregate(Table.UNITS, (text,), (Count("n"),)),
    )
    for plan in plans:
        message, answers = await ask.ask(reader, encode_plan(plan))
        assert message, plan
        assert not [answer for answer in answers if answer.rows]


async def test_names_of_other_tables_and_files(asking: tuple[Asking, bytes]) -> None:
    ask, reader = asking
    plan = msgspec.msgpack.decode(encode_plan(Scan(Table.UNITS, ("uuid",))))
    for table in (
        "sqlite_master",
        "schema_migrations",
        "units; DROP TABLE units",
        "pragma_database_list",
        "/etc/passwd",
        "",
        7,
    ):
        message, _ = await ask.ask(reader, msgspec.msgpack.encode({**plan, "table": table}))
        assert "another version" in message
    for value in METACHARACTERS:  # values are never part of a statement
        message, answers = await ask.ask(reader, encode_plan(Scan(Table.UNITS, ("uuid",), In("username", (value,)))))
        if not message:
            with pa.ipc.open_stream(answers[0].rows) as rows:
                assert rows.read_all().num_rows == 0


async def test_deep_and_large_plans(asking: tuple[Asking, bytes]) -> None:
    ask, _ = asking
    plan = msgspec.msgpack.decode(encode_plan(Scan(Table.UNITS, ("uuid",))))
    nested: Any = plan["where"]
    for _ in range(90):
        nested = {"is": "AllOf", "parts": [nested]}
    for where in (
        nested,
        {"is": "AllOf", "parts": [plan["where"]] * 20_000},
        {"is": "AnyOf", "parts": [nested] * 300},
        {"is": "In", "operand": "uuid", "values": ["x" * 100] * 100_000, "negate": False},
    ):
        await ask.ask_once(msgspec.msgpack.encode({**plan, "where": where}))
    for body in (
        b"\x82\xa2is\xa4Scan\xa5where" * 50_000,
        b"\x91" * 1_000_000,
        msgspec.msgpack.encode({**plan, "columns": ["uuid"] * 100_000}),
    ):
        assert await ask.ask_once(body)


async def test_a_reader_cannot_be_guessed(asking: tuple[Asking, bytes]) -> None:
    ask, reader = asking
    plan = encode_plan(Scan(Table.UNITS, ("uuid",)))
    for guess in (b"", b"\0" * 16, secrets.token_bytes(16), reader[:-1], reader + b"\0", b"x" * 1_000_000):
        message, _ = await ask.ask(guess, plan)
        assert message == "Its server has closed the question; ask again."
    assert decode_plan(plan)
    assert (await ask.ask(reader, plan))[0] == ""

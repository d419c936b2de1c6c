"""What is forwarded with a call, and what is not: deadlines, cancellation, traces, sizes, secrets."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.bridge.requests import without_secrets
from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.support.bridge_servers import ECHO, BridgedPlugin, Files, Server, bridged, serving
from tests.support.plugin.ceems import read_frame
from tests.support.plugin.process import Plugin, lines, method_of
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / "journal"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(files: Files, journal: Path) -> AsyncIterator[Server]:
    limits = ["--max-request-size", "1", "--max-answer-size", "2", "--log-level", "debug"]
    async with serving(*files.tls, *files.tokens, *limits, "--database", str(journal), command=ECHO) as server:
        yield server


@pytest.fixture
def echo(plugin: Plugin, files: Files, server: Server) -> BridgedPlugin:
    return bridged(plugin, files, server.port)


def call(plugin: Plugin, name: str, request: Any, **options: Any) -> Any:
    """Start a call as Grafana would, with a deadline and metadata of its own."""
    method = method_of(name)
    make = plugin.channel.unary_stream if method.server_streaming else plugin.channel.unary_unary
    return make(f"/{method.containing_service.full_name}/{method.name}")(request.SerializeToString(), **options)


async def test_a_deadline_ends_the_question_at_the_server(echo: BridgedPlugin, journal: Path) -> None:
    request = echo.asker("ann").queries(pb.ARROW, **{"by deadline": {"do": "wait"}})
    asked = call(echo.plugin, "Data.QueryData", request, timeout=3.0)
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await asked
    assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: "by deadline stopped" in lines(journal))


@pytest.mark.parametrize("kind", ["Data.QueryData", "Data.QueryChunkedData", "Resource.CallResource"])
async def test_a_question_that_nobody_waits_for_ends_at_the_server(
    echo: BridgedPlugin, journal: Path, kind: str
) -> None:
    asker, what = echo.asker("ann"), "resource" if kind.startswith("Resource") else kind
    request: Any = asker.resource("wait")
    if kind == "Data.QueryData":
        request = asker.queries(pb.ARROW, **{what: {"do": "wait"}})
    elif kind == "Data.QueryChunkedData":
        request = asker.chunked(pb.ARROW, **{what: {"do": "wait"}})
    asked = call(echo.plugin, kind, request)
    reading = asyncio.ensure_future(anext(aiter(asked)) if hasattr(asked, "__aiter__") else asked)
    await until(lambda: f"{what} waits" in lines(journal))
    asked.cancel()
    await until(lambda: f"{what} stopped" in lines(journal))
    await asyncio.gather(reading, return_exceptions=True)


async def test_a_stream_that_is_left_ends_at_the_server(echo: BridgedPlugin, journal: Path) -> None:
    context = echo.asker("ann").context()
    running = echo.plugin.start(
        "Stream.RunStream", pb.RunStreamRequest(pluginContext=context, path="endless", data=b"1")
    )
    packets = aiter(running)
    assert [(await anext(packets)).data[:1] for _ in range(3)] == [b"1", b"{", b"{"]
    running.cancel()
    await until(lambda: "stream endless ended" in lines(journal))


async def test_a_stream_that_breaks_says_why_with_the_servers_status(echo: BridgedPlugin) -> None:
    context = echo.asker("ann").context()
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await echo.plugin.collect("Stream.RunStream", pb.RunStreamRequest(pluginContext=context, path="break"))
    assert (ended.value.code(), ended.value.details()) == (grpc.StatusCode.UNAVAILABLE, "the stream broke")


async def test_a_body_that_breaks_half_way_is_no_whole_one(echo: BridgedPlugin) -> None:
    parts = aiter(echo.plugin.start("Resource.CallResource", echo.asker("ann").resource("broken later")))
    assert (await anext(parts)).body == b"half"
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await anext(parts)
    assert ended.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(ended.value)


async def test_parts_headers_and_statuses_of_resources_come_as_they_are(echo: BridgedPlugin) -> None:
    parts = await echo.plugin.collect("Resource.CallResource", echo.asker("ann").resource("pieces", "3"))
    assert [part.body for part in parts] == [b"0,", b"1,", b"2,"]
    assert parts[0].code == 201
    assert sorted(parts[0].headers["X-Two"].values) == ["a", "b"]
    refused = await echo.resource("ann", "refused")
    assert (refused.status, refused.json) == (404, {"message": "no such unit"})


async def test_queries_fail_one_by_one_with_their_own_status(echo: BridgedPlugin) -> None:
    models: dict[str, dict[str, Any]] = {
        "A": {"do": "rows", "rows": 5},
        "B": {"do": "fail", "message": "too long", "status": 422, "source": "downstream"},
        "C": {"do": "break"},
    }
    answers = await echo.query("ann", models, (0, 1))
    assert read_frame(answers["A"].frames[0]).num_rows == 5
    assert (answers["B"].error, answers["B"].status, answers["B"].errorSource) == ("too long", 422, "downstream")
    assert answers["C"].status == 500
    assert "secret" not in answers["C"].error


@pytest.mark.parametrize(
    ("size", "status"), [(100, 200), (2_000_000, 413)], ids=["small request", "request above the limit"]
)
async def test_large_requests_are_refused_with_a_sentence(echo: BridgedPlugin, size: int, status: int) -> None:
    answer = (await echo.query("ann", {"A": {"do": "rows", "rows": 1, "padding": "x" * size}}, (0, 1)))["A"]
    assert answer.status == status
    assert ("exceeds the size limit" in answer.error) == (status == 413)


async def test_large_answers_are_refused_with_a_sentence_unless_they_come_in_parts(echo: BridgedPlugin) -> None:
    answer = (await echo.query("ann", {"A": {"do": "rows", "rows": 500_000}}, (0, 1)))["A"]
    assert answer.status == 413
    assert "exceeds the size limit" in answer.error
    big = await echo.resource("ann", "big", "5000000")
    assert (big.status, len(big.body)) == (200, 5_000_000)
    chunks = await echo.plugin.collect(
        "Data.QueryChunkedData", echo.asker("ann").chunked(A={"do": "rows", "rows": 500_000})
    )
    assert sum(read_frame(chunk.frame).num_rows for chunk in chunks) == 500_000


async def test_a_trace_and_the_id_of_the_request_go_along(echo: BridgedPlugin, server: Server) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    metadata = [("traceparent", f"00-{trace}-b7ad6b7169203331-01"), ("x-grafana-org", "1")]
    await call(echo.plugin, "Data.QueryData", echo.asker("ann").queries(A={}), metadata=metadata)
    jaeger = "1af7651916cd43dd8448eb211c80319c"
    metadata = [("uber-trace-id", f"{jaeger}:b7ad6b7169203331:0:1")]
    await call(echo.plugin, "Data.QueryData", echo.asker("ann").queries(A={}), metadata=metadata)
    metadata = [("x-grafana-request-id", "from-grafana")]
    await call(echo.plugin, "Data.QueryData", echo.asker("ann").queries(A={}), metadata=metadata)
    wanted = {trace, jaeger, "from-grafana"}
    await until(lambda: wanted <= {line.get("requestId") for line in server.log})
    # Without any of them, the plugin makes its own.
    await call(echo.plugin, "Data.QueryData", echo.asker("someone-else").queries(A={}))
    await until(lambda: any(line.get("user") == "someone-else" for line in server.log))
    (there,) = [line["requestId"] for line in server.log if line.get("user") == "someone-else"]
    assert there not in wanted


async def test_secrets_stay_where_they_are(echo: BridgedPlugin, files: Files) -> None:
    echo.secure_json["more"] = "a password"
    echo.json_data["note"] = "no secret"
    answer = (await echo.query("ann", {"A": {"do": "settings"}}, (0, 1)))["A"]
    seen = json.loads(read_frame(answer.frames[0])["seen"][0].as_py())
    assert seen["secure"] == {}
    assert "no secret" in seen["json"]
    assert files.token not in str(seen)


_names = st.sampled_from(["Cookie", "AUTHORIZATION", "X-Id-Token", "http_X-Grafana-Id", "Accept", "X-Dashboard-Uid"])


@given(
    headers=st.dictionaries(_names, st.text(max_size=5)),
    secrets=st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
    json_data=st.binary(max_size=20),
    login=st.text(max_size=5),
)
async def test_of_a_request_only_secrets_are_left_out(
    headers: dict[str, str], secrets: dict[str, str], json_data: bytes, login: str
) -> None:
    request = pb.QueryDataRequest(headers=headers, queries=[pb.DataQuery(refId="A", json=json_data)])
    request.pluginContext.user.login = login
    request.pluginContext.dataSourceInstanceSettings.jsonData = json_data
    before = request.SerializeToString(deterministic=True)
    request.pluginContext.dataSourceInstanceSettings.decryptedSecureJsonData.update(secrets)
    request.pluginContext.appInstanceSettings.decryptedSecureJsonData.update(secrets)
    sent = pb.QueryDataRequest.FromString(without_secrets(request))
    assert not sent.pluginContext.dataSourceInstanceSettings.decryptedSecureJsonData
    assert not sent.pluginContext.appInstanceSettings.decryptedSecureJsonData
    assert set(sent.headers) == set(headers) & {"Accept", "X-Dashboard-Uid"}
    wanted = pb.QueryDataRequest.FromString(before)
    for name in set(headers) - set(sent.headers):
        del wanted.headers[name]
    wanted.pluginContext.appInstanceSettings.SetInParent()
    sent.pluginContext.appInstanceSettings.SetInParent()
    assert sent == wanted


async def test_fields_that_this_version_does_not_know_are_passed_on() -> None:
    unknown = b"\xfa\x3f\x03abc"  # field 1023, as a newer Grafana might send
    assert unknown in without_secrets(pb.QueryDataRequest.FromString(unknown))

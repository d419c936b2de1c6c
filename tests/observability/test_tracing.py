"""Traces of the real plugin process, as a collector receives them and as Grafana's trace contexts request them."""

import asyncio
import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.support.collector import collecting
from tests.support.places import ROOT, SYNTHETIC
from tests.support.plugin.ceems import COMMAND, CeemsPlugin
from tests.support.plugin.process import Plugin, running

WINDOW = (1_763_700_000_000, 1_767_250_000_000)
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
STATS: dict[str, Any] = {"queryType": "stats", "mode": "global", "admin": True}
# Grafana writes the parameter in this form.
ALWAYS = {"GF_INSTANCE_OTLP_SAMPLER_TYPE": "const", "GF_INSTANCE_OTLP_SAMPLER_PARAM": "1.000000"}
NEVER = {**ALWAYS, "GF_INSTANCE_OTLP_SAMPLER_PARAM": "0.000000"}


@asynccontextmanager
async def traced(address: str, **environment: str) -> AsyncIterator[CeemsPlugin]:
    """Run the plugin with an address for traces."""
    settings = {"GF_INSTANCE_OTLP_ADDRESS": address, "GF_PLUGIN_LOG_LEVEL": "debug", **(environment or ALWAYS)}
    async with running(COMMAND, settings) as plugin:
        yield CeemsPlugin(plugin, {"path": str(SYNTHETIC)})


def request(ceems: CeemsPlugin, **models: dict[str, Any]) -> pb.QueryDataRequest:
    return pb.QueryDataRequest(
        pluginContext=ceems.asker("admin").context(),
        queries=[
            pb.DataQuery(
                refId=ref_id,
                json=json.dumps(model).encode(),
                timeRange=pb.TimeRange(fromEpochMS=WINDOW[0], toEpochMS=WINDOW[1]),
            )
            for ref_id, model in models.items()
        ],
    )


async def stop(plugin: Plugin) -> None:
    plugin.process.terminate()
    assert await plugin.ended() == 0


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def groups_of_units() -> int:
    """Return the number of different owners of the units of the database, as stats distinguish them."""
    groups = "SELECT DISTINCT cluster_id, resource_manager, project, username FROM units"
    with closing(sqlite3.connect(f"{SYNTHETIC.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM ({groups})").fetchone()
    return int(count)


async def test_request_queries_and_statements_are_spans_of_the_trace_that_grafana_began() -> None:
    async with collecting() as collector:
        before = time.time_ns()
        async with traced(collector.address, **NEVER) as ceems:  # what Grafana samples is sampled here, too
            wrong = {"queryType": "units", "format": "nonsense"}
            message = request(ceems, A=STATS, B=wrong, C={**STATS, "users": ["the-parameter"]})
            answers = await ceems.plugin.call("Data.QueryData", message, traceparent=SAMPLED, tracestate="vendor=7")
            assert answers.responses["A"].status == 200
            await stop(ceems.plugin)
        after = time.time_ns()
    assert {span.trace for span in collector.spans} == {TRACE}
    (whole,) = collector.named("queryData")
    assert (whole.parent, whole.failed, whole.state) == (SPAN, True, "vendor=7")
    assert whole.attributes["grafana.datasource.uid"] == "ceems"
    assert whole.attributes["request.id"] == TRACE
    assert whole.service["service.name"] == "ceems-ceems-datasource"
    queries = {span.attributes["ref_id"]: span for span in collector.named("query")}
    assert {span.parent for span in queries.values()} == {whole.id}
    assert not queries["A"].failed
    assert queries["B"].failed
    assert queries["B"].message == answers.responses["B"].error
    statements = collector.named("statement database")
    assert {span.parent for span in statements} == {queries["A"].id, queries["C"].id}
    assert all(span.attributes["db.system.name"] == "sqlite" for span in statements)
    assert any("num_units" in span.attributes["db.query.text"] for span in statements)
    assert not any("the-parameter" in str(span) for span in collector.spans)
    # Stats are read as groups of units.
    assert max(span.attributes["db.response.returned_rows"] for span in statements) == groups_of_units()
    for span in collector.spans:
        assert before <= span.start <= span.end <= after
    within = {span.id: span for span in queries.values()}
    assert all(within[one.parent].start <= one.start <= one.end <= within[one.parent].end for one in statements)


@pytest.mark.parametrize(
    ("propagation", "metadata", "trace", "parent"),
    [
        ("", {"traceparent": SAMPLED}, TRACE, SPAN),
        ("w3c", {"traceparent": SAMPLED, "uber_trace_id": "1:2:0:1"}, TRACE, SPAN),
        ("jaeger", {"uber_trace_id": f"{TRACE}:{SPAN}:0:1"}, TRACE, SPAN),
        ("jaeger", {"uber_trace_id": f"{TRACE[1:]}%3A{SPAN}%3A0%3A1"}, TRACE, SPAN),  # without the leading zero
        ("jaeger,w3c", {"traceparent": SAMPLED, "uber_trace_id": "1:2:0:1"}, TRACE, SPAN),
        ("w3c,jaeger", {"traceparent": SAMPLED, "uber_trace_id": "a1:b2:0:1"}, f"{0xA1:032x}", f"{0xB2:016x}"),
    ],
)
async def test_contexts_are_read_as_grafana_is_told_to_write_them(
    propagation: str, metadata: dict[str, str], trace: str, parent: str
) -> None:
    async with collecting() as collector:
        async with traced(collector.address, **NEVER, GF_INSTANCE_OTLP_PROPAGATION=propagation) as ceems:
            await ceems.plugin.call("Data.QueryData", request(ceems, A=STATS), **metadata)
            await stop(ceems.plugin)
        (whole,) = collector.named("queryData")
    assert (whole.trace, whole.parent) == (trace, parent)


async def test_what_grafana_does_not_sample_is_not_sent_and_what_it_did_not_begin_is_sampled_here() -> None:
    async with collecting() as collector, traced(collector.address) as ceems:
        unwanted = SAMPLED[:-2] + "00"
        await ceems.plugin.call("Data.QueryData", request(ceems, A=STATS), traceparent=unwanted)
        for broken in ("", "00-0-0-01", f"00-{'0' * 32}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01", "ü".encode().hex()):
            await ceems.plugin.call("Data.QueryData", request(ceems, A=STATS), traceparent=broken)
        await ceems.resource("admin", "stats/global/admin")
        answer = await ceems.resource("admin", "units/admin", "running")
        assert answer.status == 200
        await stop(ceems.plugin)
        roots = collector.named("queryData")
        assert len(roots) == 5
        assert all(span.trace != TRACE and not span.parent for span in roots)
        stats, units = collector.named("callResource")
        for whole in (stats, units):
            inside = [span for span in collector.named("statement database") if span.parent == whole.id]
            assert inside
            assert all(whole.start <= span.start <= span.end <= whole.end for span in inside)
        streamed = [span for span in collector.spans if span.parent == units.id]
        assert max(span.attributes["db.response.returned_rows"] for span in streamed) > 0


def test_opentelemetry_is_not_loaded_without_an_address() -> None:
    program = (
        "import sys, ceems_grpc.datasource, ceems_grpc.grafana.serve.process as serve\n"
        "serve.start_tracing({'GF_INSTANCE_OTLP_PROPAGATION': 'w3c'}, name='n', version='1')\n"
        "print(sorted(name for name in sys.modules if name.startswith('opentelemetry')))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout == "[]\n"


async def test_a_collector_that_is_not_there_does_no_harm_and_is_told_of_once() -> None:
    address = free_address()
    async with traced(address) as ceems:
        for _ in range(3):
            for _ in range(20):
                answer = await ceems.plugin.call("Data.QueryData", request(ceems, A=STATS))
                assert answer.responses["A"].status == 200
            await asyncio.sleep(0.1)
        async with asyncio.timeout(60):
            while not _told(ceems.plugin, "the collector of traces does not answer"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        async with collecting(address) as collector:
            async with asyncio.timeout(60):
                while not collector.spans:
                    await ceems.plugin.call("Data.QueryData", request(ceems, A=STATS))
                    await asyncio.sleep(0.1)
            await stop(ceems.plugin)
    assert len(_told(ceems.plugin, "the collector of traces does not answer")) == 1
    assert len(_told(ceems.plugin, "answers again")) == 1
    assert not [line for line in ceems.plugin.log() if line["@module"].startswith("opentelemetry")]


async def test_stopping_does_not_wait_for_a_collector_that_never_answers() -> None:
    with socket.socket() as silent:  # accepts connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        async with traced(f"127.0.0.1:{silent.getsockname()[1]}") as ceems:
            await ceems.plugin.call("Data.QueryData", request(ceems, A=STATS))
            async with asyncio.timeout(2):  # later, go-plugin would kill it
                await stop(ceems.plugin)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"GF_INSTANCE_OTLP_SAMPLER_TYPE": "dice"}, "there is no sampler 'dice'"),
        (
            {"GF_INSTANCE_OTLP_SAMPLER_TYPE": "probabilistic", "GF_INSTANCE_OTLP_SAMPLER_PARAM": "2"},
            "a share of traces is from 0 to 1",
        ),
        ({"GF_INSTANCE_OTLP_SAMPLER_PARAM": "many"}, "many"),
        ({"GF_INSTANCE_OTLP_PROPAGATION": "b3,w3c"}, "b3"),
    ],
)
async def test_settings_that_cannot_be_used_are_told_and_queries_answered(
    environment: dict[str, str], said: str
) -> None:
    async with collecting() as collector, traced(collector.address, **environment) as ceems:
        answer = await ceems.plugin.call("Data.QueryData", request(ceems, A=STATS))
        assert answer.responses["A"].status == 200
        await stop(ceems.plugin)
        warnings = [line for line in ceems.plugin.log() if line["@level"] == "warn"]
        assert len(warnings) == 1
        assert said in json.dumps(warnings)


async def test_samplers_keep_what_they_say() -> None:
    counts = {}
    samplers = {
        "half": {"GF_INSTANCE_OTLP_SAMPLER_TYPE": "probabilistic", "GF_INSTANCE_OTLP_SAMPLER_PARAM": "0.500000"},
        "remote": {"GF_INSTANCE_OTLP_SAMPLER_TYPE": "remote", "GF_INSTANCE_OTLP_SAMPLER_PARAM": "0.000000"},
        "few": {"GF_INSTANCE_OTLP_SAMPLER_TYPE": "rateLimiting", "GF_INSTANCE_OTLP_SAMPLER_PARAM": "0.001000"},
    }
    for name, environment in samplers.items():
        async with collecting() as collector:
            async with traced(collector.address, **environment) as ceems:
                for _ in range(40):
                    await ceems.plugin.call("Diagnostics.CheckHealth", pb.CheckHealthRequest())
                await stop(ceems.plugin)
            counts[name] = len(collector.named("checkHealth"))
    assert 5 <= counts["half"] <= 35
    assert counts["remote"] == 0
    assert counts["few"] == 1


def _told(plugin: Plugin, text: str) -> list[dict[str, Any]]:
    return [line for line in plugin.log() if text in line["@message"]]

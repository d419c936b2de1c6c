"""Query models of any shape, and requests around them: an answer or a clear refusal, never a failure."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.hostile.wellness import MILLISECONDS, check_words
from tests.support.databases import NOON
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import Source

pytestmark = pytest.mark.asyncio(loop_scope="module")

_QUICKLY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
_KINDS = ("units", "usage", "stats", "users", "projects", "clusters", "usage-over-time")
_KEYS = (
    "queryType",
    "mode",
    "admin",
    "clusters",
    "projects",
    "users",
    "uuids",
    "states",
    "resourceManagers",
    "running",
    "fields",
    "groupBy",
    "exactGroupBy",
    "source",
    "step",
    "filters",
    "orderBy",
    "limit",
    "timezone",
    "format",
    "refId",
    "datasource",
    "hide",
    "maxDataPoints",
    "intervalMs",
    "rawSql",
    "__proto__",
)
METACHARACTERS = (
    "'",
    '"',
    "`",
    "``",
    "' OR 1=1 --",
    "`; DROP TABLE units; --",
    "\"; ATTACH '/tmp/x' AS x; --",
    "\0",
    "a\0b",
    "%",
    "_",
    "\\",
    "$.a",
    '$."a"',
    "units`.`uuid",
    "*",
    "?",
    "?1",
    ":a",
    "@a",
    "$1",
    "(SELECT 1)",
    "/*",
    "*/",
    ";",
    "\ufeff",
    "\u202e",
    "total_energy_usage_kwh.' OR 1",
    "tags.\0",
    'tags."',
    "tags.`",
    "allocation.$",
    "rowid",
    "sqlite_master",
    "load_extension('x')",
    "uuid COLLATE NOCASE",
    "-uuid",
    "--uuid",
    "-",
    "NULL",
    "1e999",
    "😀" * 50,
    "a" * 3000,
)
_KNOWN = (
    "uuid",
    "username",
    "project",
    "cluster_id",
    "tags.owner",
    "total_cpu_energy_usage_kwh",
    "num_units",
    "ann",
    "alpha",
    "slurm-0",
    "avg_cpu_usage.global",
    "Europe/Paris",
    "=",
    "!=|",
    "<",
    "day",
    "numeric",
    "daily",
)
_texts = st.one_of(st.sampled_from(METACHARACTERS), st.sampled_from(_KNOWN), st.text(max_size=10))
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    _texts,
    st.floats(allow_nan=False),
    st.sampled_from((0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 1e308, -1e308, 5e-324)),
)
_filters = st.fixed_dictionaries(
    {"key": _texts},
    optional={
        "operator": st.one_of(_texts, st.sampled_from(("=", "!=", "=|", "!=|", "<", ">="))),
        "value": st.one_of(_scalars, st.lists(_texts, max_size=12)),
    },
)
_anything = st.recursive(
    st.one_of(_scalars, _filters),
    lambda inner: st.one_of(st.lists(inner, max_size=12), st.dictionaries(_texts, inner, max_size=3)),
    max_leaves=12,
)
# Half of the fields have a valid type, so that many models become statements.
_usual = st.one_of(st.lists(_texts, max_size=4), st.lists(_filters, max_size=3), _texts, st.booleans())
_models = st.dictionaries(st.sampled_from(_KEYS), st.one_of(_usual, _anything), max_size=6)


async def ask(
    plugin: Plugin, ceems: Source, body: bytes, window: tuple[int, int], login: str = "eve", **rest: Any
) -> pb.DataResponse:
    """Send a query as a user without rights, and check that it is answered or refused properly."""
    request = pb.QueryDataRequest(
        pluginContext=ceems.asker(login).context(),
        queries=[
            pb.DataQuery(
                refId="A", json=body, timeRange=pb.TimeRange(fromEpochMS=window[0], toEpochMS=window[1]), **rest
            )
        ],
    )
    answer: pb.DataResponse = (await plugin.call("Data.QueryData", request)).responses["A"]
    if answer.error:
        assert answer.status in {400, 401, 403}, (answer.status, answer.error[:500])
        assert answer.errorSource == "downstream"
        check_words(answer.error, body.decode(errors="replace"))
    return answer


_moments = st.one_of(
    st.sampled_from((-(2**63), -1, 0, NOON * 1000, 10**18, 2**63 - 1)), st.integers(-(2**63), 2**63 - 1)
)


@_QUICKLY
@given(
    kind=st.sampled_from(_KINDS), model=_models, window=st.one_of(st.just(MILLISECONDS), st.tuples(_moments, _moments))
)
async def test_models_with_anything_in_their_fields(
    plugin: Plugin, ceems: Source, kind: str, model: dict[str, Any], window: tuple[int, int]
) -> None:
    body = json.dumps({"queryType": kind, **model}).encode()
    for login in ("eve", "root"):
        await ask(plugin, ceems, body, window, login)


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize(
    "key", ["fields", "groupBy", "orderBy", "clusters", "users", "resourceManagers", "states", "filters", "timezone"]
)
async def test_metacharacters_in_every_field(plugin: Plugin, ceems: Source, kind: str, key: str) -> None:
    for text in METACHARACTERS:
        model: dict[str, Any] = {"queryType": kind, "admin": True, key: text if key == "timezone" else [text]}
        if key == "filters":
            model["filters"] = [{"key": text, "operator": "=", "value": text}]
        answer = await ask(plugin, ceems, json.dumps(model).encode(), MILLISECONDS, "root")
        assert not answer.error or answer.status == 400


@_QUICKLY
@given(
    body=st.one_of(
        st.binary(max_size=200), st.text(max_size=100).map(str.encode), _anything.map(json.dumps).map(str.encode)
    )
)
async def test_bodies_that_are_no_model(plugin: Plugin, ceems: Source, body: bytes) -> None:
    await ask(plugin, ceems, body, MILLISECONDS)


DEEP = {
    "lists": b"[" * 100_000 + b"]" * 100_000,
    "objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "in an unknown field": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "in a filter": b'{"filters":[{"key":"uuid","value":' + b"[" * 5_000 + b"]" * 5_000 + b"}]}",
    "never closed": b'{"a":' * 100_000,
}
ODD = {
    "not UTF-8": b'{"queryType":"units","clusters":["\xff\xfe"]}',
    "a surrogate": b'{"queryType":"units","clusters":["\\ud800"]}',
    "a surrogate as bytes": b'{"queryType":"units","clusters":["\xed\xa0\x80"]}',
    "a byte order mark": b'\xef\xbb\xbf{"queryType":"units"}',
    "UTF-16": '{"queryType":"units"}'.encode("utf-16"),
    "a key twice": b'{"queryType":"units","queryType":"nothing"}',
    "a long number": b'{"limit":' + b"9" * 100_000 + b"}",
    "a long text": b'{"timezone":"' + b"a" * 5_000_000 + b'"}',
    "a long name of a kind": b'{"queryType":"' + b"a" * 1_000_000 + b'"}',
    "a long filter": b'{"filters":[{"key":"' + b"a" * 1_000_000 + b'"}]}',
    "a long operator": b'{"filters":[{"key":"uuid","operator":"' + b"a" * 1_000_000 + b'"}]}',
    "a long field": b'{"fields":["' + b"a" * 1_000_000 + b'"]}',
    "a long group": b'{"queryType":"usage","groupBy":["' + b"a" * 1_000_000 + b'"]}',
    "a long order": b'{"orderBy":["' + b"a" * 1_000_000 + b'"]}',
    "a long format": b'{"format":"' + b"a" * 1_000_000 + b'"}',
    "many values": json.dumps({"uuids": ["x"] * 1_000_000}).encode(),
    "many filters": json.dumps({"filters": [{"key": "uuid", "value": "x"}] * 100_000}).encode(),
    "many unknown keys": json.dumps({f"key{number}": number for number in range(200_000)}).encode(),
}


@pytest.mark.parametrize("body", [*DEEP.values(), *ODD.values()], ids=[*DEEP, *ODD])
async def test_models_that_are_too_much(plugin: Plugin, ceems: Source, body: bytes) -> None:
    answer = await ask(plugin, ceems, body, MILLISECONDS)
    assert not answer.error or answer.status == 400
    await ask(plugin, ceems, b"", MILLISECONDS, queryType=body[:1000].decode(errors="replace"))


@pytest.mark.parametrize("many", [5_000])
async def test_lists_as_long_as_allowed(plugin: Plugin, ceems: Source, many: int) -> None:
    names = [f"x{number}'`" for number in range(many)]
    for kind in _KINDS:
        for key in (
            "clusters",
            "projects",
            "users",
            "uuids",
            "states",
            "resourceManagers",
            "fields",
            "groupBy",
            "orderBy",
        ):
            body = json.dumps({"queryType": kind, "admin": True, key: names}).encode()
            assert (await ask(plugin, ceems, body, MILLISECONDS, "root")).status in {200, 400}, (kind, key)


@_QUICKLY
@given(
    points=st.integers(-(2**63), 2**63 - 1),
    interval=st.integers(-(2**63), 2**63 - 1),
    window=st.tuples(_moments, _moments),
)
async def test_absurd_resolutions(
    plugin: Plugin, ceems: Source, points: int, interval: int, window: tuple[int, int]
) -> None:
    for kind in ("usage-over-time", "stats"):
        body = json.dumps(
            {"queryType": kind, "source": "daily", "step": "hour"} if kind != "stats" else {"queryType": kind}
        )
        answer = await ask(plugin, ceems, body.encode(), window, "ann", maxDataPoints=points, intervalMS=interval)
        assert answer.status in {200, 400, 403}


async def test_very_many_queries_in_a_request(plugin: Plugin, ceems: Source) -> None:
    span = pb.TimeRange(fromEpochMS=MILLISECONDS[0], toEpochMS=MILLISECONDS[1])
    queries = [pb.DataQuery(refId=f"Q{number}", json=b'{"queryType":"units"}', timeRange=span) for number in range(500)]
    request = pb.QueryDataRequest(pluginContext=ceems.asker("ann").context(), queries=queries)
    answer = await plugin.call("Data.QueryData", request)
    assert len(answer.responses) == len(queries)
    for response in answer.responses.values():
        if response.error:
            assert response.status in {400, 503}
            check_words(response.error)
    refused = [ref_id for ref_id, one in answer.responses.items() if "at most 100 queries" in one.error]
    assert sorted(refused) == sorted(f"Q{number}" for number in range(100, 500))


async def test_a_ref_id_that_comes_twice_or_is_odd(plugin: Plugin, ceems: Source) -> None:
    for ref_id in ("", "A" * 100_000, "\0", "'", "😀"):
        query = pb.DataQuery(refId=ref_id, json=b'{"queryType":"units","fields":["uuid"]}')
        request = pb.QueryDataRequest(pluginContext=ceems.asker("ann").context(), queries=[query, query])
        answer = await plugin.call("Data.QueryData", request)
        assert list(answer.responses) == [ref_id]
        assert answer.responses[ref_id].status == 200

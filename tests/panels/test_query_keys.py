"""A notice names each unknown key of a query, and suggests the key that was probably meant."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from ceems_grpc.panels.query_keys import GRAFANAS_KEYS, KNOWN_KEYS, unknown_keys
from tests.support.places import ROOT, SYNTHETIC
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin, read_frame

WINDOW = (1_763_700_000_000, 1_767_250_000_000)
START = "The query has keys that do not exist; they are ignored: "


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ceems() -> AsyncIterator[CeemsPlugin]:
    async with ceems_plugin(SYNTHETIC) as running:
        yield running


def _told(**query: Any) -> tuple[str, ...]:
    return unknown_keys(json.dumps(query).encode())


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("groupby", "groupBy"), ("group_by", "groupBy"), ("group-by", "groupBy"), ("field", "fields"),
        ("cluster", "clusters"), ("exactGroupby", "exactGroupBy"), ("limt", "limit"), ("timezon", "timezone"),
        ("querytype", "queryType"), ("runing", "running"),
    ],
)  # fmt: skip
def test_the_nearest_key_is_named(key: str, nearest: str) -> None:
    assert _told(**{key: "x"}) == (f"{START}'{key}' (do you mean '{nearest}'?).",)


def test_a_key_like_none_is_only_told() -> None:
    assert _told(refId="A", xyzzy=1) == (f"{START}'xyzzy'.",)


def test_many_and_long_keys_are_cut() -> None:
    (told,) = _told(**{f"{number}{'ü' * 2_000}": 1 for number in range(30)})
    assert told.endswith(" and 10 more.")
    assert len(told) < 20 * 60 + 100


def test_what_grafana_adds_is_no_typing_error() -> None:
    browser = (ROOT / "frontend" / "src" / "query" / "defaultQuery.ts").read_text("utf-8")
    listed = re.search(r"GRAFANAS_KEYS = new Set\(\[(.*?)\]\)", browser, re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"'(\w+)'", listed[1])) <= GRAFANAS_KEYS
    assert _told(**dict.fromkeys(GRAFANAS_KEYS, 1), live=True) == ()


def test_keys_without_a_value_are_no_typing_error() -> None:
    assert _told(compre=None, x="", y=[]) == ()
    assert unknown_keys(b"") == ()


def test_no_key_of_grafana_is_one_of_ours() -> None:
    assert GRAFANAS_KEYS.isdisjoint(KNOWN_KEYS)


def test_the_documented_keys_are_the_known_ones() -> None:
    table = (ROOT / "docs" / "query.md").read_text("utf-8").partition("## Versions")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(KNOWN_KEYS)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "query",
    [
        {"queryType": "units"},
        {"queryType": "usage"},
        {"queryType": "usage-over-time", "source": "units"},
        {"queryType": "stats"},
        {"queryType": "clusters"},
    ],
)
async def test_every_answer_tells_it(ceems: CeemsPlugin, query: dict[str, Any]) -> None:
    notices = [await _notices(ceems, {**query, "version": 2, **more}) for more in ({}, {"userz": ["a"]})]
    assert notices[1] == [*notices[0], f"{START}'userz' (do you mean 'users'?)."]


async def _notices(ceems: CeemsPlugin, query: dict[str, Any]) -> list[str]:
    response = (await ceems.query("admin", {"A": query}, WINDOW))["A"]
    assert response.error == ""
    meta = json.loads((read_frame(response.frames[0]).schema.metadata or {})[b"meta"])
    return [notice["text"] for notice in meta.get("notices", [])]

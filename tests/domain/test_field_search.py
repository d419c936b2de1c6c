"""The search for fields: words anywhere in names and descriptions, and a description for each key."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ceems_grpc.domain.answers.suggestions import Suggestion, SuggestionKind, SuggestQuestion
from ceems_grpc.domain.key_descriptions import describe_key
from ceems_grpc.domain.questions.model import Viewer
from ceems_grpc.domain.service import Ceems
from ceems_grpc.schema import COLUMNS, Table, column_named
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.places import SYNTHETIC

ADMIN = Viewer("admin")


@pytest_asyncio.fixture
async def ceems() -> AsyncIterator[Ceems]:
    opened = Ceems(SqliteStore(SYNTHETIC))
    yield opened
    await opened.close()


async def _found(ceems: Ceems, search: str, column: str = "units", prefix: str = "") -> list[Suggestion]:
    question = SuggestQuestion(SuggestionKind.FIELDS, prefix, 1_000, column=column, search=search)
    return (await ceems.suggest(ADMIN, question)).values


@pytest.mark.parametrize(
    ("search", "some", "none"),
    [
        ("gpu", {"avg_gpu_usage.global", "total_energy_usage_kwh", "allocation.gpus"}, {"avg_cpu_usage.global"}),
        ("co2", {"total_emissions_gms.rte_total", "total_cpu_emissions_gms", "emissions_per_unit_hour_gms"}, {"uuid"}),
        ("CO2 rte", {"total_emissions_gms.rte_total"}, {"total_emissions_gms.owid_total"}),
        ("walltime", {"total_time_seconds.walltime"}, {"total_time_seconds.alloc_cputime"}),
        ("wall time", {"total_time_seconds.walltime", "total_time_seconds.alloc_cputime"}, {"uuid"}),
        ("energy", {"total_energy_usage_kwh.total", "energy_per_unit_hour_kwh"}, {"avg_cpu_usage"}),
        ("gpu ENERGY", {"total_gpu_energy_usage_kwh.total", "total_energy_usage_kwh"}, {"avg_gpu_usage"}),
    ],
)
async def test_words_are_found_anywhere(ceems: Ceems, search: str, some: set[str], none: set[str]) -> None:
    found = {suggestion.value for suggestion in await _found(ceems, search)}
    assert some <= found
    assert not none & found


async def test_what_is_not_there_is_not_found(ceems: Ceems) -> None:
    assert await _found(ceems, "gpu unicorn") == []
    everything = await _found(ceems, "")
    assert await _found(ceems, "  ") == everything
    assert {s.value for s in await _found(ceems, "energy", prefix="total_g")} == {
        "total_gpu_energy_usage_kwh",
        "total_gpu_energy_usage_kwh.total",
    }


@pytest.mark.parametrize("column", ["units", "usage"])
async def test_each_key_has_a_description_of_its_own(ceems: Ceems, column: str) -> None:
    found = await _found(ceems, "", column)
    descriptions = [suggestion.description for suggestion in found]
    twice = {text for text in descriptions if descriptions.count(text) > 1}
    assert not twice
    assert all(descriptions)


def test_keys_that_nobody_knows_are_described_by_their_column() -> None:
    assert describe_key(column_named("max_custom"), "power (W)") == "Max custom: power (W)"
    assert describe_key(COLUMNS[Table.UNITS]["tags"], "qos").endswith(": qos")
    assert describe_key(COLUMNS[Table.UNITS]["total_cpu_emissions_gms"], "new_total").endswith("the factors of new")

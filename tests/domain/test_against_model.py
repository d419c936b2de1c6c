"""Answers from real files against those of the model: random databases, random questions, random users."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import Source, UnitsQuestion, UsageOverTimeQuestion, UsageQuestion, Viewer
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.model.compare import differences, model_rows, rows_of
from tests.model.data import METRICS, UNIT_COLUMNS, USAGE_COLUMNS, Row
from tests.model.databases import Contents, databases
from tests.model.derived import DERIVED
from tests.model.model import Model, ModelError, by, rendered, sort_rows, step_edges
from tests.model.questions import (
    directory_questions,
    over_time_questions,
    stats_questions,
    unit_questions,
    usage_questions,
    verify_questions,
    viewers,
)
from tests.model.value_groups import columns_of, is_value_group, only, value_of

QUESTIONS = 6  # a database
TABLE_COLUMNS = tuple(name for name in (*UNIT_COLUMNS, *DERIVED) if not name.endswith("_ts"))
_Result = TypeVar("_Result")
_few = settings(
    max_examples=30,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),  # Hypothesis's explain phase takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)

Ask = Callable[[Ceems, Model, Any, Viewer | None], Awaitable[None]]


def run(contents: Contents, asked: Sequence[tuple[Any, Viewer | None]], ask: Ask) -> None:
    """Write the database, open it and ask it the questions."""

    async def everything(path: Path) -> None:
        ceems = Ceems(SqliteStore(path, zone=contents.zone))
        model = Model(path, contents.zone)
        try:
            for question, viewer in asked:
                await ask(ceems, model, question, viewer)
        finally:
            await ceems.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(everything(contents.write(Path(folder) / "ceems.db")))


async def both(ask: Callable[[], Awaitable[_Result]], model: Callable[[], Any]) -> tuple[_Result, Any] | None:
    """Return both answers; if the model refuses, check that the real answer is the same error."""
    status, wanted = 200, None
    try:
        wanted = model()
    except ModelError as error:
        status = error.status
    if status == 200:
        return await ask(), wanted
    with pytest.raises(QuestionError) as caught:
        await ask()
    assert caught.value.status == status
    return None


def same_rows(answer: Answer, wanted: list[Row], columns: tuple[str, ...]) -> None:
    lines = differences(rows_of(answer.table), model_rows(wanted, columns), absolute=1e-6)
    assert not lines, "\n".join(lines[:10])


def with_questions(questions: Callable[[int], st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Return databases, each with a few questions about it and their viewers."""
    return databases().flatmap(
        lambda contents: st.tuples(
            st.just(contents),
            st.lists(st.tuples(questions(contents.turn), viewers), min_size=QUESTIONS, max_size=QUESTIONS),
        )
    )


async def ask_units(ceems: Ceems, model: Model, question: UnitsQuestion, viewer: Viewer | None) -> None:
    pair = await both(lambda: ceems.units(viewer, question), lambda: model.units(viewer, question))
    if pair is None:
        return
    answer, rows = pair
    if question.order:
        rows = sort_rows(rows, question.order)
    cut = question.limit is not None and len(rows) > question.limit
    assert any("Only the first" in warning for warning in answer.warnings) == cut
    same_rows(answer, rows[: question.limit], tuple(dict.fromkeys(question.fields)) or TABLE_COLUMNS)
    heads = [name.partition(".")[0] for name in answer.table.column_names]
    asked = [name for name in dict.fromkeys(question.fields) if name in heads]
    assert not asked or list(dict.fromkeys(heads)) == asked


@_few
@given(with_questions(unit_questions))
def test_units_as_a_table(case: tuple[Contents, list[tuple[UnitsQuestion, Viewer | None]]]) -> None:
    run(*case, ask_units)


@_few
@given(with_questions(unit_questions), st.sampled_from(["", "Asia/Tokyo", "America/New_York", "Nope/Nowhere", "UTC"]))
def test_units_as_a_stream(case: tuple[Contents, list[tuple[UnitsQuestion, Viewer | None]]], timezone: str) -> None:
    async def ask(ceems: Ceems, model: Model, question: UnitsQuestion, viewer: Viewer | None) -> None:
        warnings: list[str] = []

        async def collect() -> list[Row]:
            stream = ceems.units_stream(viewer, question, timezone, warnings)
            batches = [batch async for batch in stream]
            rows: list[Row] = pa.Table.from_batches(batches).to_pylist()  # all rows have the same columns
            return rows

        known = [name for name in question.fields if name in UNIT_COLUMNS]
        if question.fields and not known:
            return
        pair = await both(collect, lambda: model.unit_rows(viewer, question))
        if pair is None:
            return
        found, rows = pair
        columns = tuple(known) or UNIT_COLUMNS
        wanted = [
            {
                name: rendered(row[name], timezone) if name in {"created_at", "started_at", "ended_at"} else row[name]
                for name in columns
            }
            for row in rows
        ]
        assert found == wanted[: question.limit]
        assert bool(warnings) == (question.limit is not None and len(rows) > question.limit)

    run(*case, ask)


async def ask_usage(ceems: Ceems, model: Model, question: UsageQuestion, viewer: Viewer | None) -> None:
    pair = await both(lambda: ceems.usage(viewer, question), lambda: model.usage(viewer, question))
    if pair is None:
        return
    answer, wanted = pair
    values = tuple(name for name in question.group_by if is_value_group(name))
    columns = tuple(dict.fromkeys(question.fields)) or (*values, *USAGE_COLUMNS, *DERIVED)
    if question.exact_groups:
        hidden = set(USAGE_COLUMNS) - set(METRICS) - {"num_units"} - set(question.group_by)
        columns = tuple(name for name in columns if name not in hidden)
    found = rows_of(answer.table)
    if not question.fields and not question.exact_groups:
        order = by("cluster_id", "username", "project")
        assert [order(row) for row in found] == [order(row) for row in wanted]
    # Rows that are equal in all order columns may come in any order.
    lines = matched(found, only(model_rows(wanted, columns_of(columns)), columns))
    assert not lines, "\n".join(lines[:10])


def matched(found: list[Row], wanted: list[Row]) -> list[str]:
    """Compare rows in any order: each row must have a different partner that is equal."""
    left = list(wanted)
    for row in found:
        index = next((i for i, other in enumerate(left) if not differences(row, other, absolute=1e-6)), None)
        if index is None:
            lines = [line for other in left for line in differences(row, other, absolute=1e-6)]
            return [f"{row} is not among {left}", *lines]
        left.pop(index)
    return [f"missing: {left}"] if left else []


@_few
@given(with_questions(usage_questions))
def test_usage(case: tuple[Contents, list[tuple[UsageQuestion, Viewer | None]]]) -> None:
    run(*case, ask_usage)


def zone_of_steps(question: UsageOverTimeQuestion, site: ZoneInfo) -> ZoneInfo:
    if question.zone is not None:
        return question.zone
    days = question.source is Source.DAILY and question.step is not TimeStep.HOUR
    return ZoneInfo("UTC") if days else site


@_few
@given(with_questions(over_time_questions))
def test_usage_over_time(case: tuple[Contents, list[tuple[UsageOverTimeQuestion, Viewer | None]]]) -> None:
    contents = case[0]

    async def ask(ceems: Ceems, model: Model, question: UsageOverTimeQuestion, viewer: Viewer | None) -> None:
        pair = await both(
            lambda: ceems.usage_over_time(viewer, question), lambda: model.usage_over_time(viewer, question)
        )
        if pair is not None:
            (answer, steps), wanted = pair
            assert [*steps.starts, steps.end] == step_edges(
                question.window, question.step, zone_of_steps(question, contents.zone)
            )
            columns = columns_of(("step", *question.group_by, *question.fields))
            groups = lambda row: json.dumps([value_of(row, name) for name in ("step", *question.group_by)])  # noqa: E731
            lines = differences(
                sorted(rows_of(answer.table), key=groups),
                sorted(model_rows(wanted, columns), key=groups),
                absolute=1e-6,
            )
            assert not lines, "\n".join(lines[:10])

    run(*case, ask)


@_few
@given(with_questions(stats_questions))
def test_stats(case: tuple[Contents, list[tuple[Any, Viewer | None]]]) -> None:
    async def ask(ceems: Ceems, model: Model, question: Any, viewer: Viewer | None) -> None:
        pair = await both(lambda: ceems.stats(viewer, question), lambda: model.stats(viewer, question))
        if pair is not None:
            answer, wanted = pair
            assert rows_of(answer.table) == wanted

    run(*case, ask)


@_few
@given(with_questions(lambda _: directory_questions()))
def test_directory(case: tuple[Contents, list[tuple[Any, Viewer | None]]]) -> None:
    async def ask(ceems: Ceems, model: Model, question: Any, viewer: Viewer | None) -> None:
        pair = await both(lambda: ceems.directory(viewer, question), lambda: model.directory(viewer, question))
        if pair is not None:
            answer, wanted = pair
            names = answer.table.column_names
            assert answer.table.to_pylist() == [{name: row[name] for name in names} for row in wanted]

    run(*case, ask)


@_few
@given(with_questions(lambda _: verify_questions))
def test_verify(case: tuple[Contents, list[tuple[Any, Viewer | None]]]) -> None:
    async def ask(ceems: Ceems, model: Model, question: Any, viewer: Viewer | None) -> None:
        await both(lambda: ceems.verify(viewer, question), lambda: model.verify(viewer, question))

    run(*case, ask)

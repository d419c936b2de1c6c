"""Several sources give the same answer to every question as one database with all their rows."""

import asyncio
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.answers.suggestions import SuggestionKind, SuggestQuestion
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import (
    DirectoryQuestion,
    DistributionQuestion,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    VerifyQuestion,
    Viewer,
)
from ceems_grpc.domain.service import Ceems
from tests.model.databases import Contents
from tests.model.questions import (
    directory_questions,
    distribution_questions,
    over_time_questions,
    stats_questions,
    unit_questions,
    usage_questions,
    verify_questions,
    viewers,
)
from tests.sources.test_same_answers import few, splits, whole_and_merged
from tests.support.compare import check_same

Case = tuple[tuple[Contents, dict[str, int], int], list[tuple[Any, Viewer | None]]]
_suggestions = st.builds(
    SuggestQuestion, st.sampled_from(SuggestionKind), st.sampled_from(["", "a", "s"]), st.sampled_from([1, 100])
)


def questions(turn: int) -> st.SearchStrategy[Any]:
    """Return a question of any kind."""
    return st.one_of(
        unit_questions(turn),
        usage_questions(turn),
        over_time_questions(turn),
        distribution_questions(turn),
        stats_questions(turn),
        directory_questions(),
        verify_questions,
        _suggestions,
    )


def cases() -> st.SearchStrategy[Any]:
    """Return split databases with questions about them."""
    return splits().flatmap(lambda case: st.tuples(st.just(case), _asked(case[0].turn)))


def _asked(turn: int) -> st.SearchStrategy[Any]:
    return st.lists(st.tuples(questions(turn), viewers), min_size=8, max_size=8)


async def answer_of(ceems: Ceems, question: Any, viewer: Viewer | None) -> Any:
    """Return a question's answer, or its error."""
    try:
        match question:
            case UnitsQuestion():
                return await ceems.units(viewer, question)
            case UsageQuestion():
                return await ceems.usage(viewer, question)
            case UsageOverTimeQuestion():
                return await ceems.usage_over_time(viewer, question)
            case DistributionQuestion():
                return await ceems.distribution(viewer, question)
            case StatsQuestion():
                return await ceems.stats(viewer, question)
            case DirectoryQuestion():
                return await ceems.directory(viewer, question)
            case VerifyQuestion():
                return await ceems.verify(viewer, question)
            case SuggestQuestion():
                return await ceems.suggest(viewer, question)
    except QuestionError as error:
        return error.status, str(error)


async def streamed(ceems: Ceems, question: UnitsQuestion, viewer: Viewer | None) -> Any:
    """Return the units of the REST API in one table, and the warnings; or the error."""
    warnings: list[str] = []
    try:
        batches = [batch async for batch in ceems.units_stream(viewer, question, "Asia/Tokyo", warnings)]
    except QuestionError as error:
        return error.status, str(error)
    return pa.Table.from_batches(batches), warnings


def same(question: Any, got: Any, wanted: Any) -> None:
    """Fail if the answers differ."""
    if isinstance(wanted, Answer):
        assert (got.notices, got.columns) == (wanted.notices, wanted.columns)
        check_same(question, got.table, wanted.table)
    elif isinstance(wanted, tuple) and isinstance(wanted[0], Answer | pa.Table):
        same(question, got[0], wanted[0])
        assert got[1:] == wanted[1:], question
    elif isinstance(wanted, pa.Table):
        check_same(question, got, wanted)
    else:
        assert got == wanted, question


@settings(few, max_examples=15)
@given(cases())
def test_every_question_has_the_same_answer(case: Case) -> None:
    (contents, places, count), asked = case

    async def everything() -> None:
        async with whole_and_merged(contents, places, count) as (whole, merged):
            one, all_ = Ceems(whole), Ceems(merged)
            for question, viewer in asked:
                wanted = await answer_of(one, question, viewer)
                same(question, await answer_of(all_, question, viewer), wanted)
                if isinstance(question, UnitsQuestion):
                    wanted = await streamed(one, question, viewer)
                    same(question, await streamed(all_, question, viewer), wanted)

    asyncio.run(everything())

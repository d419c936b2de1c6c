"""Answers to panel queries, as data frames."""

import time
from dataclasses import replace

from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.answers.usage import groups_of
from ceems_grpc.domain.compared import compared, compared_over_time
from ceems_grpc.domain.questions.model import (
    Comparison,
    DirectoryQuestion,
    DistributionQuestion,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.steps import TimeSteps
from ceems_grpc.domain.questions.window import ROUNDING, Window, clamp_to_dates
from ceems_grpc.domain.service import Ceems
from ceems_grpc.grafana.backend.query import DataQuery
from ceems_grpc.grafana.data.frame import Frame
from ceems_grpc.panels.display_names import Naming, beside, with_display_names
from ceems_grpc.panels.distribution_frames import DistributionAnswer, distribution_frames
from ceems_grpc.panels.frames import numeric_frame, series_frames, table_frame
from ceems_grpc.panels.query_keys import unknown_keys
from ceems_grpc.panels.query_model import (
    QueryModel,
    QueryType,
    Room,
    TableQuestion,
    comparison_of,
    question_of,
    read_query,
)
from ceems_grpc.panels.report import Times, reported
from ceems_grpc.store.runtime.cancellation import run_cancellable
from ceems_grpc.telemetry.questions import counted

_DECODED_AT_ONCE = 16 * 1024  # bytes of a query; a thread decodes longer ones


class Panels:
    """Answers the queries of panels, Explore, alert rules and variables."""

    def __init__(self, ceems: Ceems) -> None:
        self._ceems = ceems

    async def answer(self, viewer: Viewer | None, query: DataQuery, *, statements: bool = False) -> list[Frame]:
        """Answer one query. ``statements``: the report may show SQL. Raises `QuestionError` and `StoreError`."""
        began = time.perf_counter()
        if len(query.json) <= _DECODED_AT_ONCE:
            model, kind, unknown = _read(query)
        else:
            model, kind, unknown = await run_cancellable(lambda: _read(query))
        shape = model.shape(kind)
        window = Window(
            clamp_to_dates(query.time_range.start_ms // 1000), clamp_to_dates(query.time_range.end_ms // 1000)
        )
        question = question_of(model, kind, window, Room(query.max_data_points, query.interval.total_seconds()))
        # A time range that ends now has the units that are running now, however old the database is.
        is_past = window.end < self._ceems.now() - ROUNDING
        if isinstance(question, UnitsQuestion) and question.running and is_past and model.shows_past_runs:
            question = replace(question, ran_within=True)
        comparison = comparison_of(model, kind, question)
        groups = question.group_by if isinstance(question, UsageOverTimeQuestion | DistributionQuestion) else ()
        fields = () if isinstance(question, DistributionQuestion) else question.fields
        naming = Naming(model.legend_or_default, query.ref_id, groups, beside(fields, query.others))
        with counted(kind) as trace:
            if isinstance(question, UsageOverTimeQuestion):
                answer, steps = await self._over_time(viewer, question, comparison)
                answer = answer.with_warnings(unknown)
                answered = time.perf_counter()
                wide = shape == "wide"
                frames = await run_cancellable(
                    lambda: with_display_names(
                        series_frames(kind, answer, groups, steps, wide=wide, start=window.start), answer, naming
                    )
                )
            elif isinstance(question, DistributionQuestion):
                answer, steps, buckets = await self._ceems.distribution(viewer, question)
                answered = time.perf_counter()
                found = DistributionAnswer(
                    answer.with_warnings(unknown),
                    question.group_by,
                    steps,
                    buckets,
                    start=window.start,
                    stepped=question.step is not None,
                )
                frames = await run_cancellable(lambda: distribution_frames(kind, found, shape, naming))
            else:
                question = _with_labels(question) if shape == "numeric" else question
                answer = (await self._ask(viewer, question, comparison)).with_warnings(unknown)
                answered = time.perf_counter()
                frame = numeric_frame if shape == "numeric" else table_frame
                frames = await answer.written(lambda whole: with_display_names([frame(kind, whole)], whole, naming))
        now = time.perf_counter()
        described = comparison or question
        return reported(frames, kind, described, trace, Times(now - began, now - answered), statements=statements)

    async def _over_time(
        self, viewer: Viewer | None, question: UsageOverTimeQuestion, comparison: Comparison | None
    ) -> tuple[Answer, TimeSteps]:
        if comparison is not None:
            return await compared_over_time(self._ceems, viewer, comparison)
        return await self._ceems.usage_over_time(viewer, question)

    async def _ask(self, viewer: Viewer | None, question: TableQuestion, comparison: Comparison | None) -> Answer:
        if comparison is not None and isinstance(question, UsageQuestion | StatsQuestion):
            return await compared(self._ceems, viewer, replace(comparison, question=question))
        match question:
            case UnitsQuestion():
                return await self._ceems.units(viewer, question)
            case UsageQuestion():
                return await self._ceems.usage(viewer, question)
            case StatsQuestion():
                return await self._ceems.stats(viewer, question)
            case DirectoryQuestion():
                return await self._ceems.directory(viewer, question)


def _read(query: DataQuery) -> tuple[QueryModel, QueryType, tuple[str, ...]]:
    """Decode a query. The last item: a notice about its unknown keys."""
    model, kind = read_query(query.json, query.query_type)
    return model, kind, unknown_keys(query.json)


def _with_labels(question: TableQuestion) -> TableQuestion:
    """Add the columns that identify a row: in a numeric frame they label the numbers."""
    if isinstance(question, UsageQuestion) and question.fields:
        return replace(question, fields=(*groups_of(question), *question.fields))
    if isinstance(question, StatsQuestion) and question.fields:
        return replace(question, fields=("cluster_id", *question.fields))
    return question

"""Questions about distributions, which every store must answer in the same way."""

from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import DistributionQuestion, Source, Viewer
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.protocols import Store
from tests.support.compare import check_same
from tests.support.nested_tags import NAMES

EVER = Window(0, 2_000_000_000)
FIELDS = ("allocation.cpus", "allocation.mem", "total_cpu_energy_usage_kwh.total", "elapsed", "wait_seconds")
_VIEWER = Viewer("boss", admin_by_role=True)
_GROUPS = ("state", "cluster_id", "project", "allocation.cpus", "tags.n")


@st.composite
def distribution_questions(draw: st.DrawFn) -> DistributionQuestion:
    """Return a question about values that only texts hold, or that have a column."""
    quantiles = draw(st.booleans())
    bounds = () if quantiles else draw(st.sampled_from([(), (1.0, 2.0, 50.0), (-3.0, 0.0, 1.5, 5.0)]))
    return DistributionQuestion(
        EVER,
        draw(st.sampled_from(FIELDS) | st.sampled_from(NAMES).map("tags.{}".format)),
        draw(st.sampled_from([Source.UNITS, Source.PRORATED])),
        group_by=tuple(draw(st.lists(st.sampled_from(_GROUPS), max_size=2, unique=True))),
        bounds=bounds,
        quantiles=quantiles,
        step=draw(st.sampled_from([None, TimeStep.MONTH])),
        zone=ZoneInfo("UTC"),
        admin=True,
    )


async def check_distributions(store: Store, file: Store, asked: list[DistributionQuestion]) -> None:
    """Fail if a store and the file give different answers."""
    ours, wanted = (Ceems(each, clock=lambda: float(EVER.end)) for each in (store, file))
    for question in asked:
        told: Any = question  # only in the message when they differ
        one, other = await _answer(ours, question), await _answer(wanted, question)
        if isinstance(other, str):
            assert one == other, question
        else:
            check_same(told, one[0], other[0])
            assert one[1:] == other[1:], question


async def _answer(ceems: Ceems, question: DistributionQuestion) -> Any:
    try:
        answer, steps, buckets = await ceems.distribution(_VIEWER, question)
    except QuestionError as error:  # the tag holds texts only
        return str(error)
    return answer.table, answer.warnings, steps, buckets

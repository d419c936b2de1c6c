"""Questions about groups by tags, states and job sizes, which every store must answer in the same way."""

from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from ceems_grpc.domain.questions.model import Classes, OrderBy, Source, UsageOverTimeQuestion, UsageQuestion, Viewer
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.protocols import Store
from tests.support.compare import check_same
from tests.support.nested_tags import NAMES

EVER = Window(0, 2_000_000_000)
_VIEWER = Viewer("boss", admin_by_role=True)
_FIELDS = ("num_units", "total_time_seconds", "avg_cpu_usage", "total_cpu_energy_usage_kwh")
_NAMES = st.sampled_from(["state", "name", "allocation.cpus", "allocation.mem", "cluster_id", "project"])
_groups = st.lists(_NAMES | st.sampled_from(NAMES).map("tags.{}".format), min_size=1, max_size=3, unique=True).map(
    tuple
)


@st.composite
def value_group_questions(draw: st.DrawFn) -> UsageQuestion | UsageOverTimeQuestion:
    """Return a question about usage, or usage over time, by such groups."""
    groups = draw(_groups)
    bounds = draw(st.sampled_from([(1.0, 2.0), (0.0, 1.5, 5.0), (4.0,)]))
    classes = tuple(Classes(name, bounds) for name in groups if "." in name and draw(st.booleans()))
    source = draw(st.sampled_from([Source.UNITS, Source.PRORATED]))
    if draw(st.booleans()):
        return UsageOverTimeQuestion(
            EVER, TimeStep.MONTH, ZoneInfo("UTC"), source, group_by=groups, fields=_FIELDS, admin=True, classes=classes
        )
    return UsageQuestion(
        EVER,
        source=source,
        group_by=groups,
        exact_groups=draw(st.booleans()),
        fields=(*groups, *_FIELDS),
        order=draw(st.sampled_from([(), (OrderBy(groups[0], descending=True),)])),
        admin=True,
        classes=classes,
    )


async def check_value_groups(store: Store, file: Store, asked: list[UsageQuestion | UsageOverTimeQuestion]) -> None:
    """Fail if a store and the file give different answers."""
    ours, wanted = Ceems(store), Ceems(file)
    for question in asked:
        told: Any = question  # only in the message when they differ
        if isinstance(question, UsageQuestion):
            check_same(told, (await ours.usage(_VIEWER, question)).table, (await wanted.usage(_VIEWER, question)).table)
        else:
            one, other = [await each.usage_over_time(_VIEWER, question) for each in (ours, wanted)]
            check_same(told, one[0].table, other[0].table)
            assert one[1] == other[1]

"""Random plans that the rollups of hours and days can answer; see `ceems_grpc.store.postgres.summed`."""

from typing import Any

from hypothesis import strategies as st

from ceems_grpc.store.plan import (
    Aggregate,
    AllOf,
    AnyOf,
    Condition,
    Count,
    CountIf,
    FirstBy,
    In,
    Instant,
    Key,
    KeyScan,
    Order,
    PairIn,
    StartsWith,
    Sum,
    Table,
    WeightedSum,
    WeightOf,
    Within,
)
from tests.model.data import METRICS
from tests.model.databases import KEYS, moments
from tests.model.derived import WEIGHTS
from tests.support.plans import GROUPS, keys, renamed, some_pairs, words

_groups = st.sampled_from(GROUPS)
_HOUR, _DAY = 3_600, 86_400


def of_groups() -> st.SearchStrategy[Condition]:
    """Return conditions on the columns by which rollups are grouped."""
    parts: st.SearchStrategy[Any] = st.one_of(
        st.builds(In, _groups, words, st.booleans()),
        st.builds(StartsWith, _groups, st.sampled_from(["", "a", "S", "ü"])),
        st.builds(PairIn, st.just(("cluster_id", "project")), some_pairs),
    )
    return st.recursive(
        parts,
        lambda inner: st.one_of(
            st.builds(AllOf, st.lists(inner, max_size=2).map(tuple)),
            st.builds(AnyOf, st.lists(inner, max_size=2).map(tuple)),
        ),
        max_leaves=3,
    )


@st.composite
def windows(draw: st.DrawFn, turn: int) -> Within:
    """Return windows that often cover whole hours or days, exactly or with ends just next to them."""
    start = draw(st.one_of(moments(turn), moments(turn).map(lambda moment: moment // _HOUR * _HOUR)))
    lengths = [0, _HOUR - 1, _HOUR, 2 * _HOUR, _DAY - 1, _DAY, 3 * _DAY - 1]
    length = draw(st.one_of(st.sampled_from(lengths), st.integers(0, 6 * _DAY)))
    return Within(Instant.UPDATED, start, start + length)


def _weighted(kind: Any) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda metric, key: kind("", Key(metric, key), Key("total_time_seconds", WEIGHTS[metric])),
        st.sampled_from(sorted(WEIGHTS)),
        st.sampled_from(KEYS),
    )


@st.composite
def summed(draw: st.DrawFn, turn: int) -> Aggregate | KeyScan:
    """Return an aggregation of a window, or a plan that lists its keys."""
    where = AllOf((draw(windows(turn)), *draw(st.lists(of_groups(), max_size=1))))
    if draw(st.integers(0, 3)) == 0:
        return KeyScan(Table.UNITS, tuple(draw(st.lists(st.sampled_from(METRICS), max_size=4, unique=True))), where)
    kinds = st.one_of(
        st.just(Count("")),
        st.builds(CountIf, st.just(""), of_groups()),
        st.builds(Sum, st.just(""), keys),
        _weighted(WeightedSum),
        _weighted(WeightOf),
        st.builds(FirstBy, st.just(""), _groups, _groups),
    )
    measures = draw(st.lists(kinds, min_size=1, max_size=6))
    named = tuple(renamed(measure, f"m{index}") for index, measure in enumerate(measures))
    by = tuple(draw(st.lists(_groups, max_size=3, unique=True)))
    return Aggregate(Table.UNITS, by, named, where, tuple(map(Order, by)))

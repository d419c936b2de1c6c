"""Random plans about the databases of `tests.model.databases`."""

from typing import Any

from hypothesis import strategies as st

from ceems_grpc.store.plan import (
    Aggregate,
    AllKeys,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Count,
    CountIf,
    Distinct,
    FirstBy,
    Histogram,
    Holds,
    In,
    Instant,
    Key,
    KeyScan,
    Measure,
    Moment,
    Order,
    PairIn,
    RanWithin,
    Running,
    RunTime,
    Scan,
    Spread,
    StartsWith,
    Statistic,
    Sum,
    Table,
    Wait,
    Waiting,
    Waits,
    WeightedSum,
    WeightOf,
    Within,
)
from ceems_grpc.store.protocols import Reader
from tests.model.data import METRICS
from tests.model.databases import CLUSTERS, KEYS, PROJECTS, STATES, TIME_KEYS, USERS, UUIDS, moments

GROUPS = ("cluster_id", "resource_manager", "project", "groupname", "username")
TEXTS = {
    Table.UNITS: (*GROUPS, "uuid", "name", "created_at", "ended_at", "elapsed", "state", "last_updated_at"),
    Table.USAGE: (*GROUPS, "last_updated_at"),
    Table.DAILY_USAGE: (*GROUPS, "last_updated_at"),
    Table.USERS: ("cluster_id", "name", "uid", "projects", "tags"),
    Table.PROJECTS: ("cluster_id", "name", "uid", "users", "tags"),
    Table.ADMIN_USERS: ("name", "tags"),
}
NUMBERS = {
    Table.UNITS: ("created_at_ts", "started_at_ts", "ended_at_ts", "ignore", "num_updates"),
    Table.USAGE: ("num_units", "num_updates"),
    Table.DAILY_USAGE: ("num_units", "num_updates"),
}
KEYED = (Table.UNITS, Table.USAGE, Table.DAILY_USAGE)
_WORDS = (
    *CLUSTERS,
    *PROJECTS,
    *USERS,
    *STATES,
    *UUIDS,
    "one",
    "zwei 'n\"",
    "0",
    "1",
    " 1",
    "1.0",
    "x",
    "é",
    "5",
    "%",
    "Ü",
)
Plan = Scan | Aggregate | Spread | Histogram | KeyScan | Distinct

words = st.lists(st.sampled_from(_WORDS), max_size=12).map(tuple)
_facts = st.lists(
    st.sampled_from(("x", "é", "5", "5.0", "1.5", "0", "-3", "true", '{"n":[1]}', "nobody")), max_size=6
).map(tuple)
keys = st.one_of(
    st.builds(Key, st.sampled_from(METRICS), st.sampled_from(KEYS)),
    st.builds(Key, st.just("total_time_seconds"), st.sampled_from(TIME_KEYS)),
)


def conditions(table: Table, turn: int) -> st.SearchStrategy[Condition]:
    """Return conditions on the columns of a table."""
    texts = st.sampled_from(TEXTS[table])
    parts: list[st.SearchStrategy[Any]] = [
        st.builds(In, texts, words, st.booleans()),
        st.builds(StartsWith, texts, st.sampled_from(["", "a", "A", "%", "_", "ü", "\\", "SLURM-"]), st.booleans()),
        st.builds(PairIn, st.just(("cluster_id", "name" if "name" in TEXTS[table] else "project")), some_pairs),
    ]
    if table in KEYED:
        numbers = st.sampled_from(NUMBERS[table])
        operands = st.one_of(numbers, keys, texts)
        relations = st.sampled_from(["<", "<=", ">", ">=", "=", "!="])
        values = st.sampled_from([0.0, 1.0, 2.5, 1000.0])
        starts, lengths = moments(turn), st.sampled_from([0, 1, 3600, 86_400, 500_000])
        parts += [
            st.builds(Compare, operands, relations, values),
            st.builds(In, st.one_of(numbers, keys), words, st.booleans()),
            st.builds(lambda start, length: Within(Instant.UPDATED, start, start + length), starts, lengths),
        ]
        if table is Table.UNITS:
            ended = st.builds(lambda start, length: Within(Instant.ENDED, start, start + length), starts, lengths)
            tags = st.builds(Key, st.sampled_from(["tags", "allocation"]), st.sampled_from(KEYS))
            parts += [
                ended,
                spans(turn),
                st.just(Running()),
                st.just(Waiting()),
                st.builds(In, tags, _facts, st.booleans()),
            ]
            parts.append(st.builds(Compare, tags, relations, values))
    elif "users" in TEXTS[table] or "projects" in TEXTS[table]:
        listed = "users" if "users" in TEXTS[table] else "projects"
        parts.append(st.builds(Holds, st.just(listed), words))
    return st.recursive(
        st.one_of(parts),
        lambda inner: st.one_of(
            st.builds(AllOf, st.lists(inner, max_size=2).map(tuple)),
            st.builds(AnyOf, st.lists(inner, max_size=2).map(tuple)),
        ),
        max_leaves=3,
    )


def spans(turn: int) -> st.SearchStrategy[RanWithin]:
    """Return time ranges in which units can have run."""
    lengths = st.sampled_from([-1, 0, 1, 3_600, 86_400, 500_000])
    return st.builds(lambda start, length: RanWithin(start, start + length), moments(turn), lengths)


some_pairs = st.lists(
    st.tuples(st.sampled_from(sorted(CLUSTERS)), st.sampled_from((*PROJECTS, *USERS))), max_size=4
).map(tuple)


def _where(table: Table, turn: int) -> st.SearchStrategy[Condition]:
    return st.one_of(st.just(AllOf(())), st.just(AllOf(())), conditions(table, turn))


@st.composite
def scans(draw: st.DrawFn, turn: int) -> Scan:
    """Return a scan whose order is total."""
    table = draw(st.sampled_from(list(Table)))
    columns: list[str | AllKeys] = list(
        draw(st.lists(st.sampled_from((*TEXTS[table], *NUMBERS.get(table, ()))), min_size=1, max_size=4, unique=True))
    )
    if table in KEYED:
        columns += [AllKeys(name) for name in draw(st.lists(st.sampled_from(METRICS), max_size=3, unique=True))]
        columns += [
            AllKeys(name, numeric=False)
            for name in draw(st.lists(st.sampled_from(["tags", "allocation"]), max_size=2, unique=True))
            if table is Table.UNITS
        ]
    operands = st.one_of(st.sampled_from(TEXTS[table]), keys if table in KEYED else st.just("name"))
    order = draw(st.lists(st.builds(Order, operands, st.booleans()), max_size=2))
    limit = draw(st.one_of(st.none(), st.integers(0, 5)))
    return Scan(table, tuple(columns), draw(_where(table, turn)), (*order, Order("id")), limit)


@st.composite
def aggregates(draw: st.DrawFn, turn: int) -> Aggregate:
    """Return an aggregation with every kind of measure."""
    table = draw(st.sampled_from(KEYED))
    by = tuple(draw(st.lists(st.sampled_from(GROUPS), max_size=3, unique=True)))
    kinds = _measures(table, turn)
    if table is Table.UNITS:
        kinds = st.one_of(kinds, _waits(turn))
    measures = draw(st.lists(kinds, min_size=1, max_size=6))
    named = tuple(renamed(measure, f"m{index}") for index, measure in enumerate(measures))
    day = draw(st.booleans())
    order = tuple(Order(name) for name in by) + ((Order("day"),) if day else ())
    return Aggregate(table, by, named, draw(_where(table, turn)), order, day)


@st.composite
def prorated(draw: st.DrawFn, turn: int) -> Aggregate:
    """Return an aggregation of the units that ran in a time range, as prorated usage needs it."""
    by = tuple(draw(st.lists(st.sampled_from(GROUPS), max_size=3, unique=True)))
    measures = draw(st.lists(st.one_of(_of_keys(), _waits(turn), _first), min_size=1, max_size=6))
    named = tuple(renamed(measure, f"m{index}") for index, measure in enumerate(measures))
    span = draw(spans(turn))
    ran = draw(st.sampled_from([span, span, RanWithin(span.start - 60, span.end + 60)]))
    where = AllOf(tuple(draw(st.permutations([ran, draw(_where(Table.UNITS, turn))]))))
    day = draw(st.booleans())
    order = tuple(map(Order, (*by, "day") if day else by))
    return Aggregate(Table.UNITS, by, named, where, order, day, span)


def _measures(table: Table, turn: int) -> st.SearchStrategy[Measure]:
    return st.one_of(
        st.builds(Count, st.just("")),
        st.builds(CountIf, st.just(""), conditions(table, turn)),
        st.builds(Sum, st.just(""), st.one_of(keys, st.sampled_from(NUMBERS[table]))),
        st.builds(WeightedSum, st.just(""), keys, keys),
        st.builds(WeightOf, st.just(""), keys, keys),
        _first,
    )


def _waits(turn: int) -> st.SearchStrategy[Measure]:
    return st.builds(Waits, st.just(""), st.sampled_from(Statistic), moments(turn))


_first = st.builds(FirstBy, st.just(""), st.sampled_from(GROUPS), st.sampled_from(GROUPS))


def _of_keys() -> st.SearchStrategy[Measure]:
    return st.one_of(
        st.builds(Count, st.just("")),
        st.builds(Sum, st.just(""), keys),
        st.builds(WeightedSum, st.just(""), keys, keys),
        st.builds(WeightOf, st.just(""), keys, keys),
    )


def renamed(measure: Any, name: str) -> Any:
    """Return the measure under another name."""
    fields = {field: getattr(measure, field) for field in measure.__struct_fields__}
    return type(measure)(**{**fields, "name": name})


@st.composite
def spreads(draw: st.DrawFn, turn: int) -> Spread:
    """Return a spread over steps of different lengths."""
    by = tuple(draw(st.lists(st.sampled_from(GROUPS), max_size=2, unique=True)))
    starts = sorted({draw(moments(turn)) for _ in range(draw(st.integers(1, 5)))})
    end = starts[-1] + draw(st.integers(1, 100_000))
    measures = draw(st.lists(_of_keys(), min_size=1, max_size=4))
    named = tuple(renamed(measure, f"m{index}") for index, measure in enumerate(measures))
    where = draw(st.sampled_from([draw(_where(Table.UNITS, turn)), RanWithin(starts[0], end - 1)]))
    return Spread(by, named, where, tuple(starts), end)


@st.composite
def histograms(draw: st.DrawFn, turn: int) -> Histogram:
    """Return a histogram with few or many bounds, which grow evenly or do not."""
    by = tuple(draw(st.lists(st.sampled_from((*GROUPS, "state", "name")), max_size=2, unique=True)))
    value = draw(st.one_of(st.none(), keys, st.builds(Wait, moments(turn)), st.just(RunTime())))
    starts = tuple(sorted({draw(moments(turn)) for _ in range(draw(st.integers(0, 5)))}))
    starts = draw(st.sampled_from([starts, tuple(range(turn - 3_600_000, turn + 3_600_000, 86_400))]))
    where = draw(_where(Table.UNITS, turn))
    return Histogram(by, value, draw(_bounds), where, starts, draw(st.sampled_from(Moment)))


_numbers = st.one_of(st.integers(-5, 300), st.floats(-1e6, 1e6), st.sampled_from([0.0, 0.5, 1.0, 1e-9, 12.5]))
_bounds = st.one_of(
    st.lists(_numbers, max_size=30).map(lambda found: tuple(sorted({float(number) for number in found}))),
    st.just(tuple(float(bound) for bound in range(-3, 100))),
    st.just(tuple(1.02**place for place in range(-700, 700))),
    st.just((0.0, *(1.5**place for place in range(-40, 40)))),
)


@st.composite
def key_scans(draw: st.DrawFn, turn: int) -> KeyScan:
    """Return a plan that lists keys."""
    table = draw(st.sampled_from(KEYED))
    names = (*METRICS, "tags", "allocation") if table is Table.UNITS else METRICS
    columns = tuple(draw(st.lists(st.sampled_from(names), max_size=4, unique=True)))
    return KeyScan(table, columns, draw(_where(table, turn)), draw(st.one_of(st.none(), st.integers(1, 5))))


@st.composite
def distincts(draw: st.DrawFn, turn: int) -> Distinct:
    """Return a plan that lists distinct values."""
    table = draw(st.sampled_from(list(Table)))
    columns = tuple(draw(st.lists(st.sampled_from(TEXTS[table]), min_size=1, max_size=3, unique=True)))
    limit = draw(st.one_of(st.none(), st.integers(0, 4)))
    return Distinct(table, columns, draw(_where(table, turn)), limit, draw(st.one_of(st.none(), st.integers(1, 5))))


@st.composite
def countings(draw: st.DrawFn, turn: int) -> Aggregate:
    """Return an aggregation that counts units by group, as stats do."""
    by = tuple(draw(st.lists(st.sampled_from(GROUPS), min_size=1, max_size=4, unique=True)))
    start = draw(moments(turn))
    window = Within(Instant.ENDED, start, start + draw(st.sampled_from([-1, 0, 1, 3600, 500_000, 2**33])))
    named = st.builds(In, st.sampled_from(GROUPS), words, st.booleans())
    further = draw(st.lists(st.one_of(named, st.builds(AnyOf, st.lists(named, max_size=3).map(tuple))), max_size=2))
    where = draw(st.permutations([AnyOf((window, Running())), *further]))
    ended = CountIf("ended", Compare("ended_at_ts", ">", 0))
    return Aggregate(Table.UNITS, by, (Count("all"), ended, CountIf("running", Running())), AllOf(tuple(where)))


def plans(turn: int) -> st.SearchStrategy[Plan]:
    """Return a plan of any kind."""
    kinds = (
        scans,
        aggregates,
        aggregates,
        prorated,
        prorated,
        countings,
        spreads,
        spreads,
        histograms,
        histograms,
        key_scans,
        distincts,
    )
    return st.one_of([kind(turn) for kind in kinds])


async def ask(reader: Reader, plan: Plan) -> Any:
    """Return the answer to a plan."""
    match plan:
        case Scan():
            return await reader.table(plan)
        case Aggregate():
            return await reader.aggregate(plan)
        case Spread():
            return await reader.spread(plan)
        case Histogram():
            return await reader.histogram(plan)
        case KeyScan():
            return await reader.keys(plan)
        case Distinct():
            return await reader.distinct(plan)

"""Random questions, by random users, about the databases of `tests.model.databases`."""

from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from ceems_grpc.domain.questions.model import (
    AsAdmin,
    Classes,
    Directory,
    DirectoryQuestion,
    DistributionQuestion,
    Filter,
    Mode,
    OrderBy,
    Selection,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    VerifyQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window
from tests.model.data import METRICS, PLAIN_UNIT_COLUMNS, UNIT_COLUMNS, USAGE_COLUMNS
from tests.model.databases import CLUSTERS, KEYS, LOGINS, PROJECTS, SPAN, STATES, TIME_KEYS, USERS, UUIDS, moments
from tests.model.derived import DERIVED
from tests.model.model import GROUPS

viewers = st.one_of(
    st.none(),
    st.builds(Viewer, st.sampled_from(LOGINS)),
    st.builds(Viewer, st.sampled_from(LOGINS)),
    st.builds(Viewer, st.sampled_from(LOGINS)),
    st.builds(Viewer, st.sampled_from(LOGINS), st.just(True)),
)
as_admin: st.SearchStrategy[AsAdmin] = st.sampled_from([False, True, "auto", "auto"])
_NAMED_KEYS = tuple(key for key in KEYS if key)
_VALUES = ("state", "name", *(f"{head}.{key}" for head in ("tags", "allocation") for key in _NAMED_KEYS[:5]))
_groups = st.lists(st.sampled_from(GROUPS), max_size=3).map(tuple)
_groups_of_units = st.lists(st.sampled_from(GROUPS) | st.sampled_from(_VALUES), max_size=3).map(tuple)


@st.composite
def groupings(draw: st.DrawFn, *, units: bool) -> tuple[tuple[str, ...], tuple[Classes, ...]]:
    """Return groups, and the classes of some of them. ``units``: groups that only units have are allowed."""
    groups = draw(_groups_of_units if units or draw(st.integers(0, 9)) == 0 else _groups)
    in_classes = [name for name in dict.fromkeys(groups) if "." in name and draw(st.booleans())]
    bounds = st.lists(st.sampled_from([-2.0, 0.0, 1.0, 1.5, 4.0]), min_size=1, unique=True).map(sorted)
    return groups, tuple(Classes(name, tuple(draw(bounds))) for name in in_classes)


def some(values: tuple[str, ...], most: int = 2) -> st.SearchStrategy[tuple[str, ...]]:
    """Return a few of the values, often none."""
    return st.one_of(st.just(()), st.lists(st.sampled_from(values), max_size=most).map(tuple))


def windows(turn: int) -> st.SearchStrategy[Window]:
    """Return windows around a change of the clocks; some cover everything, some end before they start."""
    return st.one_of(
        st.just(Window(turn - SPAN, turn + SPAN)),
        st.builds(lambda one, two: Window(min(one, two), max(one, two)), moments(turn), moments(turn)),
        st.builds(Window, moments(turn), moments(turn)),
    )


_numeric_filters = st.builds(
    Filter,
    st.builds(lambda metric, key: f"{metric}.{key}", st.sampled_from(METRICS), st.sampled_from(_NAMED_KEYS))
    | st.builds("total_time_seconds.{}".format, st.sampled_from(TIME_KEYS))
    | st.just("ended_at_ts"),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.sampled_from([("0",), ("1",), ("2.5",), ("1000",)]),
)
_text_filters = st.builds(
    Filter,
    st.sampled_from(["state", "name", "username", "groupname", "project"])
    | st.builds("tags.{}".format, st.sampled_from(_NAMED_KEYS)),
    st.sampled_from(["=", "!=", "=|", "!=|"]),
    st.lists(st.sampled_from(["one", "x", "é", "5", "1.5", "COMPLETED", "ann", ""]), max_size=10).map(tuple),
)
_patterns = st.builds(
    Filter,
    st.sampled_from(["state", "name", "username", "groupname", "project"])
    | st.builds("tags.{}".format, st.sampled_from(_NAMED_KEYS)),
    st.sampled_from(["=~", "!~"]),
    st.sampled_from(["on", "on.*", "x|é", "5", ".*", "[a-c].+", "(?i)completed", "", "[^0-9]*"]).map(
        lambda text: (text,)
    ),
)


@st.composite
def selections(draw: st.DrawFn, filters: st.SearchStrategy[Filter] | None = None) -> Selection:
    """Return a selection of rows."""
    return Selection(
        draw(some(tuple(CLUSTERS))),
        draw(some(PROJECTS)),
        draw(some(USERS)),
        draw(some(("slurm", "k8s"), 1)),
        tuple(draw(st.lists(filters, max_size=1))) if filters is not None else (),
    )


_unit_order = st.lists(
    st.builds(
        OrderBy,
        st.sampled_from(PLAIN_UNIT_COLUMNS)
        | st.builds("{}.{}".format, st.sampled_from(METRICS), st.sampled_from(KEYS[:4]))
        | st.builds("total_time_seconds.{}".format, st.sampled_from(TIME_KEYS))
        | st.builds("{}.{}".format, st.sampled_from(DERIVED), st.sampled_from(KEYS[:4])),
        st.booleans(),
    ),
    max_size=2,
).map(tuple)


@st.composite
def unit_questions(draw: st.DrawFn, turn: int) -> UnitsQuestion:
    """Return a question about units."""
    return UnitsQuestion(
        draw(windows(turn)),
        draw(selections(_numeric_filters | _text_filters | _patterns)),
        draw(some(UUIDS, 3)),
        draw(some(STATES)),
        draw(st.booleans()),
        draw(some((*UNIT_COLUMNS, *DERIVED), 5)),
        draw(_unit_order),
        draw(st.sampled_from([None, None, 1, 2, 5])),
        draw(as_admin),
        draw(st.booleans()),
    )


@st.composite
def usage_questions(draw: st.DrawFn, turn: int) -> UsageQuestion:
    """Return a question about usage."""
    mode = draw(st.sampled_from([Mode.CURRENT, Mode.CURRENT, Mode.GLOBAL]))
    source, every_row = draw(st.sampled_from(Source)), draw(st.booleans())
    units = mode is Mode.CURRENT and source is not Source.DAILY and not every_row
    groups, classes = draw(groupings(units=units))
    return UsageQuestion(
        draw(windows(turn)),
        mode,
        source,
        draw(selections()),
        groups,
        draw(st.booleans()),
        draw(some((*USAGE_COLUMNS, *DERIVED, *filter(lambda name: name in _VALUES, groups)), 5)),
        admin=draw(as_admin),
        rounds_window=draw(st.booleans()),
        every_row=every_row,
        classes=classes,
    )


@st.composite
def over_time_questions(draw: st.DrawFn, turn: int) -> UsageOverTimeQuestion:
    """Return a question about usage over time."""
    fields = draw(st.lists(st.sampled_from((*METRICS, *DERIVED, "num_units")), min_size=1, max_size=4, unique=True))
    window = draw(windows(turn).filter(lambda window: window.start <= window.end))
    step = draw(st.sampled_from(TimeStep))
    zones = ("Europe/Paris", "America/New_York", "Asia/Kolkata", "UTC")
    may_lack_zone = step not in {TimeStep.QUARTER_HOUR, TimeStep.HOUR}
    zone = None if may_lack_zone and draw(st.booleans()) else ZoneInfo(draw(st.sampled_from(zones)))
    source = draw(st.sampled_from(Source))
    groups, classes = draw(groupings(units=source is not Source.DAILY))
    return UsageOverTimeQuestion(
        window, step, zone, source, draw(selections()), groups, tuple(fields), draw(as_admin), classes
    )


_FIELDS = (
    "elapsed",
    *(f"{head}.{key}" for head in ("tags", "allocation", *METRICS[1:4]) for key in _NAMED_KEYS[:3]),
    *(f"total_time_seconds.{key}" for key in TIME_KEYS),
)


@st.composite
def distribution_questions(draw: st.DrawFn, turn: int) -> DistributionQuestion:
    """Return a question about the distribution of a field."""
    groups, classes = draw(groupings(units=True))
    quantiles = draw(st.booleans())
    bounds = st.lists(st.sampled_from([-2.0, 0.0, 0.5, 1.0, 2.5, 60.0, 1e4]), unique=True).map(sorted).map(tuple)
    return DistributionQuestion(
        draw(windows(turn).filter(lambda window: window.start <= window.end)),
        draw(st.sampled_from(_FIELDS)),
        draw(st.sampled_from([Source.UNITS, Source.PRORATED])),
        draw(selections()),
        groups,
        () if quantiles else draw(bounds),
        quantiles,
        draw(st.sampled_from([None, TimeStep.DAY, TimeStep.MONTH])),
        ZoneInfo(draw(st.sampled_from(["Europe/Paris", "UTC"]))),
        draw(as_admin),
        classes,
    )


@st.composite
def stats_questions(draw: st.DrawFn, turn: int) -> StatsQuestion:
    """Return a question about counts."""
    return StatsQuestion(
        draw(windows(turn)),
        draw(st.sampled_from(Mode)),
        draw(selections()),
        admin=draw(as_admin),
        every_row=draw(st.booleans()),
    )


@st.composite
def directory_questions(draw: st.DrawFn) -> DirectoryQuestion:
    """Return a question about users, projects, administrators or clusters."""
    return DirectoryQuestion(draw(st.sampled_from(Directory)), draw(selections()), admin=draw(as_admin))


verify_questions = st.builds(
    VerifyQuestion,
    st.lists(st.sampled_from(UUIDS), max_size=3).map(tuple),
    st.lists(st.sampled_from(tuple(CLUSTERS)), max_size=2).map(tuple),
)

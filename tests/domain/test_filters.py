"""Free filters, asked of a real file."""

from pathlib import Path

import pytest

from ceems_grpc.domain.answers import filtering
from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import (
    Directory,
    DirectoryQuestion,
    Filter,
    Selection,
    Source,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.store.new_columns import make_old
from tests.support.databases import PARIS, SUMMER, make, stamp, unit

PASSED_OVER = "Filters of the dashboard on columns that are not here are passed over:"
STARTS = (SUMMER - 1, SUMMER, SUMMER + 3600)

ROWS = [
    unit(0, name="a", tags='{"qos":"high","n":5,"x":1.5}', avg_cpu_usage='{"global":5}'),
    unit(1, name="b", tags='{"qos":"low","n":"5"}', avg_cpu_usage='{"global":50.0}'),
    unit(2, name=None, tags="{}", avg_cpu_usage="null"),
    unit(3, name="50%", tags='{"qos":""}', avg_cpu_usage='{"global":500}'),
]


async def found(path: Path, key: str, operator: str, *values: str) -> str:
    """Return the uuids of the units that pass the filter, as one text."""
    ceems = Ceems(SqliteStore(path, zone=PARIS))
    try:
        question = UnitsQuestion(
            Window(0, 2**33), Selection(filters=(Filter(key, operator, values),)), fields=("uuid",)
        )
        return "".join((await ceems.units(Viewer("ann"), question)).table.column("uuid").to_pylist())
    finally:
        await ceems.close()


@pytest.mark.parametrize(
    ("key", "operator", "values", "uuids"),
    [
        ("name", "=", ("a",), "0"),
        ("name", "!=", ("a",), "123"),  # a missing name differs from the given name
        ("name", "=|", ("a", "50%", "z"), "03"),
        ("name", "!=|", ("a", "b"), "23"),
        ("name", "=|", (), ""),
        ("name", "!=|", (), "0123"),
        ("name", "=", ("%",), ""),
        ("name", "=", ("' OR 1=1 --",), ""),
        ("tags.qos", "=", ("high",), "0"),
        ("tags.qos", "!=", ("high",), "123"),
        ("tags.qos", "=", ("",), "3"),
        ("tags.n", "=", ("5",), "01"),
        ("tags.x", "=", ("1.5",), "0"),
        ("avg_cpu_usage.global", ">", ("5",), "13"),
        ("avg_cpu_usage.global", ">=", ("5",), "013"),
        ("avg_cpu_usage.global", "<", ("50",), "0"),
        ("avg_cpu_usage.global", "<=", ("5e1",), "01"),
        ("avg_cpu_usage.global", "=", ("50",), "1"),
        ("avg_cpu_usage.global", "!=", ("50",), "023"),
        ("avg_cpu_usage.nothing", "<", ("50",), ""),
        ("tags.qos", "<", ("50",), ""),  # text is not a number
        ("name", ">", ("0",), ""),
        ("ended_at_ts", ">", ("0",), "0123"),
        ("name", "=~", ("a",), "0"),
        ("name", "=~", ("a|b",), "01"),
        ("name", "=~", ("^[ab]$",), "01"),
        ("name", "=~", ("5",), ""),  # a pattern matches the whole text
        ("name", "=~", ("5..",), "3"),
        ("name", "=~", (".*",), "013"),  # a unit without a name has nothing to match
        ("name", "!~", ("a|b",), "23"),
        ("name", "=~", ("(?i)A",), "0"),
        ("name", "=~", ("(a*)*b",), "1"),
        ("tags.qos", "=~", ("h.*|l.*",), "01"),
        ("tags.n", "=~", ("[0-9]",), "01"),
        ("tags.nothing", "!~", (".*",), "0123"),
        ("uuid", "=~", ("[1-3]",), "123"),
        ("uuid", "=|", tuple(str(n) for n in range(1, 3000)), "123"),
    ],
)
async def test_filters(tmp_path: Path, key: str, operator: str, values: tuple[str, ...], uuids: str) -> None:
    assert await found(make(tmp_path / "ceems.db", ROWS), key, operator, *values) == uuids


@pytest.mark.parametrize(
    ("key", "operator", "values", "words"),
    [
        ("nope", "=", ("a",), "no such column"),
        ("ignore", "=", ("1",), "no such column"),
        ("last_updated_at", "=", ("1",), "no such column"),
        ("tags", "=", ("1",), "no such column"),
        ("tags.", "=", ("1",), "no such column"),
        ("uuid.a", "=", ("1",), "no such column"),
        ("name", "~", ("a",), "unknown operator"),
        ("name", "=~", ("(",), "no regular expression"),
        ("name", "=~", ("(a{1000}){1000}",), "no regular expression"),
        ("name", "=~", (r"(a)\1",), "no regular expression"),
        ("name", "=~", (), "needs one regular expression"),
        ("name", "!~", ("a", "b"), "needs one regular expression"),
        ("nope", "=~", ("a",), "no such column"),
        ("avg_cpu_usage.global", "=~", ("5",), "compares texts"),
        ("ended_at", "=~", ("2.*",), "compares texts"),
        ("name", "", ("a",), "unknown operator"),
        ("name", "<", ("a",), "needs one number"),
        ("name", "<", (), "needs one number"),
        ("name", "<", ("1", "2"), "needs one number"),
        ("name", "<", ("nan",), "needs one number"),
        ("name", ">", ("inf",), "needs one number"),
    ],
)
async def test_filters_that_mean_nothing(
    tmp_path: Path, key: str, operator: str, values: tuple[str, ...], words: str
) -> None:
    path = make(tmp_path / "ceems.db", ROWS)
    with pytest.raises(QuestionError, match=words) as caught:
        await found(path, key, operator, *values)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("operator", "values", "uuids"),
    [
        (">", ("0",), "012"),
        (">=", (str(SUMMER * 1000),), "12"),
        ("<", ("2025-07-01T08:00:00Z",), "0"),
        ("<=", ("2025-07-01T10:00:00+02:00",), "01"),
        ("<", ("2025-07-01T10:00:01",), "01"),  # the site's zone
        ("<", ("2025-07-01",), ""),
        ("=", ("2025-07-01T08:00:00Z",), "1"),
        ("=", (stamp(SUMMER),), "1"),
        ("!=", (str(SUMMER * 1000),), "023"),
        ("=|", ("2025-07-01T08:00:00Z", "Unknown"), "13"),
        ("=", ("Unknown",), "3"),
    ],
)
async def test_filters_on_a_moment(tmp_path: Path, operator: str, values: tuple[str, ...], uuids: str) -> None:
    rows = [unit(index, started_at=stamp(start), started_at_ts=start * 1000) for index, start in enumerate(STARTS)]
    path = make(tmp_path / "ceems.db", [*rows, unit(3, started_at="Unknown", started_at_ts=0)])
    assert await found(path, "started_at", operator, *values) == uuids


@pytest.mark.parametrize("value", ["soon", "", "nan", "1e999"])
async def test_a_filter_on_a_moment_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(QuestionError, match="needs one time"):
        await found(make(tmp_path / "ceems.db"), "ended_at", ">", value)


@pytest.mark.parametrize(
    ("operator", "values", "uuids"),
    [
        ("=", ("CANCELLED",), "01"),
        ("!=", ("CANCELLED",), "234"),
        ("=|", ("CANCELLED", "FAILED"), "012"),
        ("!=|", ("CANCELLED", "FAILED"), "34"),
        ("=", ("CANCELLED by 1001",), "1"),
        ("!=", ("FAILED",), "0134"),
    ],
)
async def test_cancelled_is_one_state(tmp_path: Path, operator: str, values: tuple[str, ...], uuids: str) -> None:
    states = ("CANCELLED", "CANCELLED by 1001", "FAILED", None, "CANCELLED+")
    path = make(tmp_path / "ceems.db", [unit(index, state=state) for index, state in enumerate(states)])
    assert await found(path, "state", operator, *values) == uuids


async def test_filters_of_the_dashboard_on_other_columns_are_passed_over(tmp_path: Path) -> None:
    ceems = Ceems(SqliteStore(make_old(tmp_path / "ceems.db"), zone=PARIS))
    window, viewer = Window(0, 2**33), Viewer("ann")
    filters = (
        Filter("uuid", "=~", ("[12]",), ad_hoc=True),
        Filter("nope", "=", ("a",), ad_hoc=True),
        Filter("name", "!=", ("nobody",), ad_hoc=True),
    )
    selection = Selection(filters=filters)
    try:
        units = await ceems.units(viewer, UnitsQuestion(window, selection, fields=("uuid",)))
        assert units.table.column("uuid").to_pylist() == ["1", "2"]
        assert units.warnings == (f"{PASSED_OVER} nope.",)
        for directory in (Directory.USERS, Directory.PROJECTS):
            answer = await ceems.directory(viewer, DirectoryQuestion(directory, selection))
            assert answer.table.num_rows == 1
            assert answer.warnings == (f"{PASSED_OVER} uuid, nope, name.",)
        for source in Source:
            usage = await ceems.usage(viewer, UsageQuestion(window, source=source, selection=selection))
            assert usage.warnings == (f"{PASSED_OVER} uuid, nope, name.",)
            asked = UsageOverTimeQuestion(Window(SUMMER, SUMMER), TimeStep.DAY, source=source, selection=selection)
            over_time, _ = await ceems.usage_over_time(viewer, asked)
            assert over_time.warnings == (f"{PASSED_OVER} uuid, nope, name.",)
        own = Selection(filters=(Filter("uuid", "=", ("1",)),))
        with pytest.raises(QuestionError, match="no such column"):
            await ceems.usage(viewer, UsageQuestion(window, selection=own))
    finally:
        await ceems.close()


async def test_a_pattern_looks_at_a_bounded_number_of_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtering, "MOST_MATCHED", 3)
    path = make(tmp_path / "ceems.db", ROWS)
    with pytest.raises(QuestionError, match="looks at most at 3 different values"):
        await found(path, "uuid", "=~", ".*")
    assert await found(path, "username", "=~", "a.*") == "0123"

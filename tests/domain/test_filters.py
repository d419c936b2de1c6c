"""Free filters, asked of a real file."""

from pathlib import Path

import pytest

from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import Filter, Selection, UnitsQuestion, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.support.databases import PARIS, SUMMER, make, stamp, unit

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
        ("name", "=~", ("a",), "unknown operator"),
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

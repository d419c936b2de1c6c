import csv
import io
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from ceems_grpc.cli.output.charts import print_charts
from ceems_grpc.cli.output.decoded_frame import DecodedFrame, FrameColumn, decode
from ceems_grpc.cli.output.export import write_csv, write_json
from ceems_grpc.cli.output.tables import print_table
from ceems_grpc.cli.output.values import in_zone
from ceems_grpc.grafana import Field, Frame

ZONES = st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
MOMENTS = st.integers(-8_000_000_000, 8_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
TEXTS = st.text(st.characters(categories=("Cc", "L", "P", "S", "Cf")), max_size=20)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def _machine_zone(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


def _answer(**columns: Sequence[object] | pa.Array) -> DecodedFrame:
    """Return a frame as it arrives from the plugin, encoded as Arrow and decoded."""
    fields = [Field(name, data if isinstance(data, pa.Array) else pa.array(data)) for name, data in columns.items()]
    (answer,) = decode([Frame("A", fields).to_arrow()])
    return answer


def _csv(answer: DecodedFrame, file: io.StringIO | None = None, **options: object) -> list[list[str]]:
    file = file or io.StringIO()
    write_csv([answer], file, **options)  # type: ignore[arg-type]
    return list(csv.reader(io.StringIO(file.getvalue(), newline="")))


def _json(answer: DecodedFrame, **options: object) -> list[dict[str, object]]:
    file = io.StringIO()
    write_json([answer], file, **options)  # type: ignore[arg-type]
    rows: list[dict[str, object]] = json.loads(file.getvalue(), parse_constant=pytest.fail)
    return rows


@given(st.lists(MOMENTS, min_size=1, max_size=5), ZONES, st.none() | ZONES, st.sampled_from(["s", "ms", "us", "ns"]))
@example([datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)], "UTC", None, "ms")
def test_moments_are_the_same_on_every_machine(
    moments: list[datetime], machine: str, shown: str | None, unit: str
) -> None:
    zone = ZoneInfo(shown) if shown else UTC
    with _machine_zone(machine):
        answer = _answer(at=pa.array(moments, pa.timestamp(unit, "UTC")), n=[1.0] * len(moments))
        assert answer.columns[0].data.to_pylist() == moments
        rows = _csv(answer, zone=zone)[1:]
        assert [datetime.fromisoformat(row[0]) for row in rows] == moments
        assert [datetime.fromisoformat(str(row["at"])) for row in _json(answer, zone=zone)] == moments
        table, chart = io.StringIO(), io.StringIO()
        print_table(Console(file=table, width=100), answer, zone)
        print_charts(Console(file=chart, width=100), [answer], zone)
        local = in_zone(min(moments), zone)
        for file, form in ((table, "%Y-%m-%d"), (chart, "%d %b")):
            assert str(zone) in file.getvalue()
            assert format(local, form) in file.getvalue()


def test_moments_of_another_zone_have_its_offset() -> None:
    answer = _answer(at=pa.array([datetime(2026, 11, 20, 11, tzinfo=UTC)], pa.timestamp("ms", "UTC")))
    assert _csv(answer)[1] == ["2026-11-20T11:00:00Z"]
    assert _csv(answer, zone=ZoneInfo("Europe/Paris"))[1] == ["2026-11-20T12:00:00+01:00"]
    half = _answer(at=pa.array([datetime(2026, 11, 20, 11, microsecond=500_000, tzinfo=UTC)], pa.timestamp("ms")))
    assert _json(half) == [{"at": "2026-11-20T11:00:00.500Z"}]


def test_midnights_are_dates_in_the_zone_that_is_shown() -> None:
    paris = ZoneInfo("Europe/Paris")
    days = [datetime(2026, 3, 28, tzinfo=paris) + timedelta(days=day) for day in range(3)]  # one has 23 hours
    answer = _answer(at=pa.array(days, pa.timestamp("ms", "UTC")), n=[1.0, 2.0, 3.0])
    for zone, cells in ((paris, ["2026-03-28", "2026-03-29", "2026-03-30"]), (UTC, ["2026-03-27 23:00"])):
        file = io.StringIO()
        print_table(Console(file=file, width=100), answer, zone)
        assert f"at ({zone})" in file.getvalue()
        assert [cell for cell in cells if cell not in file.getvalue()] == []
    file = io.StringIO()
    print_charts(Console(file=file, width=100), [answer], paris)
    assert "└28 Mar" in file.getvalue()
    assert file.getvalue().rstrip().endswith("Europe/Paris")


def test_a_moment_without_a_zone_is_refused() -> None:
    naive = pa.chunked_array([pa.array([datetime(2026, 1, 1)], pa.timestamp("ms"))])  # noqa: DTZ001 - that is the case
    for write in (write_csv, write_json):
        with pytest.raises(ValueError, match="has no time zone"):
            write([DecodedFrame("A", (FrameColumn("at", naive, "", {}),), ())], io.StringIO())


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5), st.booleans())
@example([("job\r", 'say "hi", then go'), ("two\rlines", "\n"), ("", "")], False)
def test_csv_is_read_back(rows: list[tuple[str, str]], safe: bool) -> None:
    file = io.StringIO()
    first, second = zip(*rows, strict=True)
    written = _csv(_answer(a=first, b=second), file, safe=safe)
    assert file.getvalue().startswith("a,b\r\n")
    if not safe:
        assert written[1:] == [list(row) for row in rows]
        # A strict reader: CR and LF end a line unless quoted.
        unquoted = "".join(file.getvalue().split('"')[::2])
        assert unquoted.replace("\r\n", "").count("\r") == unquoted.replace("\r\n", "").count("\n") == 0
    else:
        cells = [cell for row in written[1:] for cell in row]
        assert [cell for cell in cells if cell.lstrip()[:1] in {*"=+-@"} and cell.strip()] == []


def test_safe_csv_leaves_numbers_alone() -> None:
    assert _csv(_answer(a=[-1.5], b=["-1.5"]), safe=True)[1] == ["-1.5", "'-1.5"]


@given(st.lists(TEXTS, min_size=1, max_size=5))
@example(["x\x1b[2K\x1b[1Ahidden"])
def test_a_terminal_gets_no_control_characters(names: list[str]) -> None:
    answer = _answer(name=names, n=[1.0] * len(names))
    labelled = DecodedFrame(
        "A", (*answer.columns, FrameColumn("n", answer.columns[1].data, "", {"user": names[0]})), ()
    )
    outputs = [_Terminal() for _ in range(3)]
    write_csv([labelled], outputs[0])
    write_json([labelled], outputs[1])
    print_table(Console(file=outputs[2], width=100, force_terminal=False), labelled)
    for output in outputs:
        text = output.getvalue().replace("\r\n", "\n").replace("\n", "")
        assert text.isprintable() or all(one.isprintable() or one.isspace() for one in text)
        assert not {"\x1b", "\r", "\x9b", "\u202e"} & set(text)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.none(), min_size=1, max_size=6))
@example([math.nan, math.inf, -math.inf])
def test_json_has_no_nan(values: list[float | None]) -> None:
    expected = [value if value is not None and math.isfinite(value) else None for value in values]
    assert _json(_answer(a=pa.array(values, pa.float64()))) == [{"a": value} for value in expected]


def test_json_cells_stay_json() -> None:
    cell = pa.array([b'{"a": [1, NaN, null], "b": "\\u001b"}', None], pa.binary())
    assert _json(_answer(tags=cell)) == [{"tags": {"a": [1, None, None], "b": "\x1b"}}, {"tags": None}]
    assert _csv(_answer(tags=pa.array([b'{"a": 1}'], pa.binary())))[1] == ['{"a": 1}']

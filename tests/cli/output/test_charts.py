import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ceems_grpc.cli.output.charts import print_charts
from ceems_grpc.cli.output.decoded_frame import DecodedFrame, FrameColumn, decode
from ceems_grpc.cli.output.tables import print_table
from ceems_grpc.grafana import Field, FieldConfig, Frame, FrameMeta, Notice

Values = Sequence[float | None]
BLOCKS = "▁▂▃▄▅▆▇█"


def _frame(series: dict[str, Values], days: int, unit: str = "kwatth") -> DecodedFrame:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = pa.array([start + timedelta(days=day) for day in range(days)], pa.timestamp("ms", "UTC"))
    fields = [
        Field("energy", pa.array(values, pa.float64()), {"cluster": name}, FieldConfig(unit=unit))
        for name, values in series.items()
    ]
    meta = FrameMeta(notices=[Notice("warning", "careful")])
    (frame,) = decode([Frame("f", [Field("time", moments), *fields], meta).to_arrow()])
    return frame


def _draw(frame: DecodedFrame, width: int = 100) -> list[str]:
    file = io.StringIO()
    print_charts(Console(file=file, width=width), [frame])
    return file.getvalue().splitlines()


def test_heights_are_proportional() -> None:
    lines = _draw(_frame({"a": [0.0, 8.0, 16.0, 24.0, None]}, 5))
    assert lines[0] == "energy"
    rows = [line.partition("│")[2].ljust(30)[:30] for line in lines[1:4]]
    each = 6
    assert [rows[0][at] for at in range(0, 30, each)] == [" ", " ", " ", "█", " "]
    assert [rows[1][at] for at in range(0, 30, each)] == [" ", " ", "█", "█", " "]
    assert [rows[2][at] for at in range(0, 30, each)] == ["▁", "█", "█", "█", "·"]
    assert lines[1].endswith("max 24.0 kWh")
    assert lines[3].endswith("total 48.0 kWh")
    assert "└01 Jan" in lines[4]


def test_shares_are_not_summed() -> None:
    lines = _draw(_frame({"a": [10.0, 30.0]}, 2, "percent"))
    assert lines[3].endswith("mean 20.0 %")


def test_hours_are_named_on_the_axis() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = pa.array([start + timedelta(hours=hour) for hour in range(24)], pa.timestamp("ms", "UTC"))
    columns = (
        FrameColumn("time", pa.chunked_array([moments]), "", {}),
        FrameColumn("energy", pa.chunked_array([pa.array([1.0] * 24)]), "", {}),
    )
    assert "└01 Jan 00:00" in _draw(DecodedFrame("f", columns, ()))[-1]


def test_many_moments_share_columns_and_many_series_are_cut() -> None:
    many = _frame({f"c{number}": [float(number + 1)] * 400 for number in range(15)}, 400)
    lines = _draw(many)
    assert "Each column is the mean of 6 points." in lines
    assert lines[-1] == "The 12 largest of 15 series are drawn; narrow the question."
    text = "\n".join(lines)
    assert "c14 │" in text
    assert " c1 │" not in text


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.none() | st.floats(-1e9, 1e9), min_size=40, max_size=40), min_size=1, max_size=5),
    st.integers(1, 40),
    st.integers(50, 160),
)
def test_any_series_fits(series: list[Values], days: int, width: int) -> None:
    frame = _frame({f"cluster {number}": values[:days] for number, values in enumerate(series)}, days)
    lines = _draw(frame, width)
    assert max(map(len, lines)) <= width
    drawn = sum(any(value is not None for value in values[:days]) for values in series)
    assert sum("│" in line for line in lines) == drawn * (3 if drawn <= 4 else 2)


def test_tables_show_what_fits_and_name_the_rest() -> None:
    texts = pa.chunked_array([pa.array(["x" * 60, None])])
    numbers = pa.chunked_array([pa.array([1.5, None])])
    nothing = pa.chunked_array([pa.array([None, None], pa.string())])
    frame = DecodedFrame(
        "t",
        (
            FrameColumn("text", texts, "", {}),
            FrameColumn("nothing", nothing, "", {}),
            FrameColumn("total_emissions_gms.rte_total", numbers, "massg", {"cluster": "c0"}),
        ),
        (),
    )
    file = io.StringIO()
    print_table(Console(file=file, width=60), frame)
    assert file.getvalue().splitlines()[0].split() == ["total_emissions_"]
    assert "x" * 35 + "…  " in file.getvalue()
    assert "1.50 g" in file.getvalue()
    assert "nothing" not in file.getvalue()
    narrow = io.StringIO()
    print_table(Console(file=narrow, width=40), frame)
    assert "Not shown for lack of room:" in narrow.getvalue()
    assert "total_emissions_gms.rte_total{cluster=c0}" in narrow.getvalue().replace("\n", "")


def test_notices_are_decoded() -> None:
    assert _frame({"a": [1.0]}, 1).notices == ("careful",)

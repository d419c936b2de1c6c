"""Titles of columns, and which queries of a request can show the same ones."""

import pytest

from ceems_grpc.panels.display_names import Beside, beside
from ceems_grpc.panels.titles import title_of
from ceems_grpc.schema import COLUMNS, Table, Unit


def test_which_queries_can_have_the_same_names() -> None:
    assert beside(["a"], []) is Beside.NONE
    assert beside(["a.x"], [b'{"fields": ["b"]}', b'{"fields": ["c.x"]}']) is Beside.DIFFERENT
    assert beside(["a.x"], [b'{"fields": ["b"]}', b'{"fields": ["c", "a.y"]}']) is Beside.ALIKE
    assert beside(["a"], [b"{}"]) is Beside.ALIKE
    assert beside([], [b'{"fields": ["b"]}']) is Beside.ALIKE
    assert beside(["a"], [b'{"fields": 7}', b"{", b"\xff"]) is Beside.DIFFERENT
    assert beside(["a"], [b'{"fields": ["b"], "x": "' + b"x" * 70_000 + b'"}']) is Beside.ALIKE


@pytest.mark.parametrize(
    ("column", "key", "unit", "title"),
    [
        ("total_cpu_energy_usage_kwh", "", Unit.KWH, "CPU energy usage (kWh)"),
        ("total_emissions_gms", "rte_total", Unit.GRAMS, "Emissions: rte_total (g)"),
        ("avg_gpu_mem_usage", "", Unit.PERCENT, "Average GPU memory usage (%)"),
        ("idle_cpu_time_seconds", "", Unit.SECONDS, "Idle CPU time (s)"),
        ("energy_per_unit_hour_kwh", "", Unit.KWH_PER_HOUR, "Energy per unit hour (kWh/h)"),
        ("max_custom_metrics", "max-power (W)", Unit.NONE, "Maximum custom metrics: max-power (W)"),
        ("total", "", Unit.NONE, "Total"),
        ("avg_wait_seconds", "", Unit.SECONDS, "Average waiting time (s)"),
    ],
)
def test_titles(column: str, key: str, unit: Unit, title: str) -> None:
    assert title_of(column, key, unit) == title


def test_columns_of_a_table_have_different_titles() -> None:
    for table in (Table.UNITS, Table.USAGE):
        titles = [title_of(name) for name, column in COLUMNS[table].items() if column.is_answered]
        assert len(set(titles)) == len(titles)
        assert all(title[:1].isupper() or title[:1] == "I" for title in titles)

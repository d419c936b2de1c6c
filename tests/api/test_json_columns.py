"""JSON that is made column by column equals JSON that is made cell by cell."""

import json
import math
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.domain.columns import USAGE_COLUMNS
from ceems_grpc.rest.columns import number_text, number_texts
from ceems_grpc.rest.json_shapes import Shape, table_json

_MIDDLES = st.builds(lambda n, k: (n + 0.5) / 10**k, st.integers(-(10**12), 10**12), st.integers(0, 12))
NUMBERS = (
    st.floats()
    | st.floats(-1e9, 1e9)
    | st.integers(-(2**60), 2**60).map(float)
    | st.builds(lambda n, k: n / 10**k, st.integers(-(10**15), 10**15), st.integers(0, 12))
    | _MIDDLES
    | _MIDDLES.map(lambda value: math.nextafter(value, math.inf))
    | st.sampled_from([0.0, -0.0, 5e-9, -5e-9, 4.9999999999e-9, 1.5e-8, 2.5e-8, 45035996.27370496, 1e22, 0.1 + 0.2])
)


@given(st.lists(st.none() | NUMBERS, max_size=50))
def test_numbers(values: list[float | None]) -> None:
    expected = [None if value is None else number_text(value).decode() for value in values]
    assert number_texts(pa.array(values, pa.float64())).to_pylist() == expected


_TEXTS = st.none() | st.sampled_from(["", "ann", 'quo"te', "ü", "\u2028"])
_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "username": _TEXTS,
            "num_units": st.none() | st.integers(0, 5),
            "avg_cpu_usage.global": st.none() | NUMBERS,
            "total_cpu_energy_usage_kwh.total": st.none() | NUMBERS,
            'total_cpu_energy_usage_kwh.a"b': st.none() | NUMBERS,
        }
    ),
    min_size=1,
    max_size=20,
)


@given(_ROWS, st.booleans(), st.sampled_from([(), ("username", "project", "num_units")]))
def test_many_rows_are_written_as_few_are(rows: list[dict[str, Any]], same_keys: bool, always: tuple[str, ...]) -> None:
    shape = Shape(USAGE_COLUMNS, frozenset(always), same_keys)
    types = [
        pa.string() if name == "username" else pa.int64() if name == "num_units" else pa.float64() for name in rows[0]
    ]
    table = pa.Table.from_pylist(rows, pa.schema(list(zip(rows[0], types, strict=True))))
    many = pa.concat_tables([table] * (300 // len(rows) + 1))
    assert table_json(many, shape) == b",".join([table_json(table, shape)] * (300 // len(rows) + 1))
    json.loads(b"[" + table_json(many, shape) + b"]")

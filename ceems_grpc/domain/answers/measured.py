"""What the units of a distribution are sorted by: the field that a question names, as stores know it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from ceems_grpc.domain.answers.derived import NEEDS
from ceems_grpc.domain.columns import WAITING, new_numbers, unit_fields
from ceems_grpc.domain.errors import QuestionError, bad_data
from ceems_grpc.schema import Aggregation, Column, Kind, Table, Type, Unit
from ceems_grpc.store.columnar.flatten import decode_object
from ceems_grpc.store.columnar.json_paths import value_at
from ceems_grpc.store.columnar.values import numbers_of_texts
from ceems_grpc.store.plan import Key, Measured, RunTime, Total, Wait
from ceems_grpc.store.protocols import Reader
from ceems_grpc.store.runtime.cancellation import until_cancelled

ELAPSED = "elapsed"
_FIELDS = "a key of a metric (total_cpu_energy_usage_kwh.total), allocation.cpus, wait_seconds or elapsed"
_TOTALS = ("total_energy_usage_kwh", "total_emissions_gms")
"""The derived columns that are sums of two metrics."""
_INSTEAD = {
    "energy_per_unit_hour_kwh": "total_energy_usage_kwh",
    "emissions_per_unit_hour_gms": "total_emissions_gms",
    "cpu_hours": "total_time_seconds.alloc_cputime",
    "gpu_hours": "total_time_seconds.alloc_gputime",
    "emission_factor_gms_per_kwh": "total_emissions_gms",
}
"""What to count instead of a derived column, where that is not the first of `NEEDS`."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Values that only texts hold: a column of numbers that the schema does not describe, or keys of a JSON object.

    ``key``: of the object; None where the column itself holds the numbers. ``type``: of the numbers of a column.
    """

    column: str
    key: str | None
    type: Type = Type.NUMBER

    def numbers(self, texts: Sequence[str | None]) -> list[float | None]:
        """Return the number that each text holds; None for texts without one. No number at all is an error."""
        if self.key is None:
            return [
                None if number is None else float(number)
                for number in numbers_of_texts(pa.chunked_array([pa.array(texts, pa.string())]), self.type).to_pylist()
            ]
        values = [
            None if text is None else value_at(decode_object(text, numeric=False), self.key)
            for text in until_cancelled(texts)
        ]
        numbers = list(map(_number, values))
        if not all(value is None for value in values) and all(number is None for number in numbers):
            raise _no_numbers(f"{self.column}.{self.key}")
        return numbers


@dataclass(frozen=True, slots=True)
class MeasuredField:
    """A field: how its values are found, its column, and its unit."""

    value: Measured | Texts
    column: Column
    unit: Unit


def measured_of(reader: Reader, name: str, now: int) -> MeasuredField:
    """Return the field of a name. Raises a bad_data error if it is not a field of numbers.

    ``now``: seconds since the epoch, until which units without a start wait.
    """
    if not name:
        raise bad_data(f"of: name the field whose values are counted, such as {_FIELDS}")
    columns = {column.name: column for column in unit_fields(reader)}
    head, _, key = name.partition(".")
    column = columns.get(name) or columns.get(head)
    if column is None or (key and not column.has_keys):
        raise bad_data(f"of: units have no field '{name[:50]}'; use {_FIELDS}")
    if name == WAITING.name:
        return MeasuredField(Wait(now), column, column.unit)
    if name == ELAPSED:
        return MeasuredField(RunTime(), column, Unit.SECONDS)
    numbers = new_numbers(reader, Table.UNITS)
    if name in numbers:
        return MeasuredField(Texts(name, None, numbers[name]), column, column.unit)
    if not column.has_keys:
        raise _no_numbers(name)
    if not key:
        raise bad_data(
            f"of: '{name[:50]}' has a value for each key: name one of them, such as {name[:50]}.{_example(column)}"
        )
    return MeasuredField(_value_of(reader, column, key), column, column.unit_of(key))


def _value_of(reader: Reader, column: Column, key: str) -> Measured | Texts:
    if column.kind is Kind.METRIC:
        return Key(column.name, key)
    if column.name in _TOTALS:
        return Total(tuple(Key(metric, key) for metric in NEEDS[column.name] if reader.has(Table.UNITS, metric)))
    if column.kind is Kind.DERIVED:
        instead = _INSTEAD.get(column.name) or NEEDS[column.name][0]
        raise bad_data(f"of: '{column.name}' is calculated from several columns and cannot be counted: use {instead}")
    return Texts(column.name, key)


def _example(column: Column) -> str:
    if column.kind is Kind.ALLOCATION:
        return "cpus"
    if column.kind is Kind.TAG:
        return "priority"
    return "global" if column.aggregation is Aggregation.MEAN else "total"


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _no_numbers(name: str) -> QuestionError:
    return bad_data(f"of: '{name[:50]}' does not hold numbers; use {_FIELDS}")

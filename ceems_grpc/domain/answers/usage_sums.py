"""The sums behind usage: the measures of metrics, and the means that are computed from weighted sums."""

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.domain.answers.derived import WEIGHTED_SUM, with_needs
from ceems_grpc.schema import TIMES, Aggregation, Column, Kind, column_named
from ceems_grpc.store.plan import Condition, Key, KeyScan, Max, Measure, Min, Sum, Table, WeightedSum, WeightOf
from ceems_grpc.store.protocols import KnowsKeys, Reader

_WEIGHT = "#weight."  # prefix of a helper column, like WEIGHTED_SUM
_ZERO, _ONE = pa.scalar(0.0), pa.scalar(1.0)  # made once: see `derived`

Keys = dict[str, tuple[str, ...]]
"""The keys of each metric."""


def metrics_of(mentioned: set[str], columns: dict[str, Column]) -> tuple[str, ...]:
    """Return the metrics that an answer with these columns needs."""
    needed = with_needs(mentioned)
    return tuple(name for name, column in columns.items() if name in needed and column.kind is Kind.METRIC)


def metrics_in(reader: Reader, table: Table, metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Return the metrics that the table has."""
    return tuple(name for name in metrics if reader.has(table, name))


async def keys_of(reader: Reader, table: Table, metrics: tuple[str, ...], where: Condition) -> tuple[bool, Keys]:
    """Return the metrics' keys: those of the selected rows or, if the store knows them (True), those of all rows."""
    readable = metrics_in(reader, table, metrics)
    known = reader.known_keys(table, readable) if isinstance(reader, KnowsKeys) else None
    if known is not None:
        return True, known
    return False, await reader.keys(KeyScan(table, readable, where))


def measures_of(keys: Keys) -> list[Measure]:
    """Return the sums and extremes of keys. A mean needs two sums, which `with_means` divides."""
    measures: list[Measure] = []
    for metric, names in keys.items():
        for name in names:
            value = Key(metric, name)
            match column_named(metric):
                case Column(aggregation=Aggregation.MEAN, weight=times):
                    weight = Key(TIMES, times)
                    measures.append(WeightedSum(f"{WEIGHTED_SUM}{value}", value, weight))
                    measures.append(WeightOf(f"{_WEIGHT}{value}", value, weight))
                case Column(aggregation=Aggregation.MIN):
                    measures.append(Min(str(value), value))
                case Column(aggregation=Aggregation.MAX):
                    measures.append(Max(str(value), value))
                case _:
                    measures.append(Sum(str(value), value))
    return measures


def without_absent(table: pa.Table, keys: Keys) -> tuple[pa.Table, Keys]:
    """Return the sums without keys that have no value in any row, and the remaining keys."""
    present = _present(keys, table)
    absent = {measure.name for measure in measures_of(keys)} - {measure.name for measure in measures_of(present)}
    return table.drop_columns(list(absent)), present


def _is_mean(metric: str) -> bool:
    return column_named(metric).aggregation is Aggregation.MEAN


def _present(keys: Keys, table: pa.Table) -> Keys:
    """Return the keys that have a value in some row."""

    def is_present(metric: str, name: str) -> bool:
        column = table.column(f"{WEIGHTED_SUM if _is_mean(metric) else ''}{metric}.{name}")
        return bool(column.null_count < len(column))

    return {metric: tuple(name for name in names if is_present(metric, name)) for metric, names in keys.items()}


def with_means(table: pa.Table, keys: Keys) -> pa.Table:
    """Divide weighted sums into means: 0 if all weights are 0, null if no unit has the value."""
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for metric, names in keys.items():
        for name in names if _is_mean(metric) else ():
            column = f"{metric}.{name}"
            weighted, weights = columns[WEIGHTED_SUM + column], columns.pop(_WEIGHT + column)
            weightless = pc.equal(weights, _ZERO)
            columns[column] = pc.if_else(weightless, _ZERO, pc.divide(weighted, pc.if_else(weightless, _ONE, weights)))
    return pa.table(columns)

"""Arrow types of columns and measures, and the result of a scan assembled from the columns of a copy."""

import pyarrow as pa

from ceems_grpc.schema import INTEGERS, is_metric
from ceems_grpc.store.columnar.flatten import flatten
from ceems_grpc.store.plan import AllKeys, Count, CountIf, FirstBy, Measure, Scan, Statistic, Sum, Waits
from ceems_grpc.store.runtime.cancellation import check_cancelled


def is_of_integers(measure: Measure) -> bool:
    """Return whether the measure is a sum of an integer column."""
    return isinstance(measure, Sum) and isinstance(measure.operand, str)


def type_of(column: str) -> pa.DataType:
    """Return the Arrow type of a plain column, or of a JSON column as text."""
    return pa.int64() if column in INTEGERS else pa.string()


def type_of_measure(measure: Measure) -> pa.DataType:
    """Return the Arrow type of a measure."""
    if isinstance(measure, Count | CountIf) or is_of_integers(measure):
        return pa.int64()
    if isinstance(measure, Waits) and measure.statistic is Statistic.COUNT:
        return pa.int64()
    return pa.string() if isinstance(measure, FirstBy) else pa.float64()


def put_together(scan: Scan, names: list[str], rows: pa.Table) -> pa.Table:
    """Return the result of a scan from rows that have one column for each key of a metric (``metric.key``).

    The result equals that of the live store: keys are in order, and keys that no row has are left out.
    """
    arrays: dict[str, pa.ChunkedArray] = {}
    if not names:
        return pa.table({})
    kinds = {column.column: column for column in scan.columns if isinstance(column, AllKeys)}
    for name, values in zip(names, rows.columns, strict=True):
        check_cancelled()
        asked = kinds.get(name)
        if asked is not None and (not is_metric(name) or not asked.numeric):
            for key, array in _flat(values, asked).items():
                arrays[f"{name}.{key}"] = array
        elif name in scan.columns:
            arrays[name] = values.cast(type_of(name))
        elif values.null_count < len(values):
            arrays[name] = values
    return pa.table(arrays)


def _flat(texts: pa.ChunkedArray, asked: AllKeys) -> dict[str, pa.ChunkedArray]:
    """Split JSON texts by key. Equal texts are parsed once."""
    encoded = texts.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.chunks) if encoded.num_chunks else pa.array([], pa.string())
    different = encoded.dictionary_encode()
    if len(different.dictionary) > len(encoded) // 2:
        return flatten(encoded.to_pylist(), numeric=asked.numeric, nested=asked.nested)
    keys = flatten(different.dictionary.to_pylist(), numeric=asked.numeric, nested=asked.nested)
    return {key: values.take(different.indices) for key, values in keys.items()}

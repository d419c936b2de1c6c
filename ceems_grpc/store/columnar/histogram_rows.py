"""The answer of a histogram, from rows of counts as engines and sources give them."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ceems_grpc.store.columnar.group_merge import merge_groups, part_of_groups
from ceems_grpc.store.plan import Count, Histogram

COUNT = Count("num_units")
"""The column of counts."""
_ZERO, _ONE = pa.scalar(0, pa.int64()), pa.scalar(1, pa.int64())


def histogram_of(plan: Histogram, rows: pa.Table) -> pa.Table:
    """Return the answer from rows with the columns of ``by``, the step, the bucket and the count, in this order.

    The step is the number of starts that are not above the moment. A group may have several rows.
    """
    counts = pa.table(rows.columns, names=[*plan.keys, COUNT.name])
    step = counts.column("step").cast(pa.int64())
    first = pc.max_element_wise(pc.subtract(step, _ONE), _ZERO)
    return merged_histogram(plan, [counts.set_column(counts.column_names.index("step"), "step", first)])


def merged_histogram(plan: Histogram, parts: Sequence[pa.Table]) -> pa.Table:
    """Return the answer from those of several sources; a column that a source lacks is null in all of its rows."""
    aligned = [part_of_groups(part, plan.keys, (COUNT,), _has) for part in parts]
    return merge_groups(aligned, plan.keys, (COUNT,), ())


def empty_histogram(plan: Histogram) -> pa.Table:
    """Return the answer without units."""
    return part_of_groups(pa.table({"bucket": pa.array([], pa.int64())}), plan.keys, (COUNT,), _has)


def _has(_column: str) -> bool:
    return True

"""The plans: everything that a store can be asked."""

from ceems_grpc.schema import Table
from ceems_grpc.store.plan.histogram import Histogram
from ceems_grpc.store.plan.vocabulary import Aggregate, Distinct, KeyScan, Scan, Spread

Plan = Scan | Aggregate | Spread | Histogram | KeyScan | Distinct
"""Everything that a store can be asked."""


def table_of(plan: Plan) -> Table:
    """Return the table that a plan reads."""
    return Table.UNITS if isinstance(plan, Spread | Histogram) else plan.table

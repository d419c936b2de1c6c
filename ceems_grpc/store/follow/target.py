"""What a copy of a database must implement so that `fill` can make it and `changes` can keep it current."""

from collections.abc import Iterable
from typing import Protocol

import pyarrow as pa

from ceems_grpc.store.columnar.layout import Meta, TableLayout
from ceems_grpc.store.plan import Table


class NewTarget(Protocol):
    """A copy that can be filled with the rows of a database.

    Everything written between `begin` and `commit` becomes visible at once, together with the new state, or not at
    all. If the process is killed in between, the copy keeps its old content, or is known to be unfinished.

    Rows have the columns that `typed_rows` describes. A batch of rows may have columns that earlier batches of the same
    table lack. Each of these is a key of a metric (float64); earlier rows have null there.
    """

    def begin(self) -> None:
        """Begin a transaction."""
        ...

    def rewrite(self, table: Table, layout: TableLayout, rows: Iterable[pa.Table]) -> None:
        """Replace all rows of the table. Create the table if it does not exist or has other columns.

        ``layout`` may grow while ``rows`` is consumed. Other threads may read and convert the rows at the same time.
        """
        ...

    def commit(self, meta: Meta) -> None:
        """Store the new state and make all changes visible. Tables that ``meta`` does not list are removed."""
        ...

    def rollback(self) -> None:
        """Discard everything written since `begin`. Called after any error, including one of `commit`."""
        ...


class Target(NewTarget, Protocol):
    """A copy that can also be updated with changed rows."""

    @property
    def meta(self) -> Meta | None:
        """The state that the copy shows; None if it is empty or has another layout version."""
        ...

    @property
    def needs_rebuild(self) -> bool:
        """Whether so many rows were replaced that the copy should be filled again."""
        ...

    def count(self, table: Table) -> int:
        """Return the number of rows of the table, including changes of the open transaction."""
        ...

    def large(self, table: Table, most: int) -> list[int]:
        """Return the ids of at most ``most`` rows whose ``#large`` is true."""
        ...

    def replace(self, table: Table, layout: TableLayout, ids: pa.Int64Array, rows: pa.Table) -> None:
        """Delete the rows with these ids (``#row``; sorted, unique), then insert ``rows``, whose ids are among them."""
        ...

    def keep(self, table: Table, ids: pa.Int64Array, last: int | None) -> None:
        """Delete the rows whose ids are not in ``ids``, which may hold millions.

        With ``last``, rows with ids above it stay.
        """
        ...

"""What a copy of a database must be able to do so that `follow_fill` makes it and `follow_changes` keeps it fresh."""

from collections.abc import Iterable
from typing import Protocol

import pyarrow as pa

from ceems_grpc.store.columnar.layout import Meta, TableLayout
from ceems_grpc.store.plan import Table


class NewTarget(Protocol):
    """A place that can be filled with the rows of a database.

    All that happens between `begin` and `commit` shows at once, with the new state, or never: a process that is killed
    in between leaves what was there before, or something that is known to be unfinished.

    Rows are those of `typed_rows`. A table of them may have columns that earlier ones of the same table had not, each
    a key of a metric (float64); rows that came before have no value there.
    """

    def begin(self) -> None:
        """Begin to write."""
        ...

    def rewrite(self, table: Table, layout: TableLayout, rows: Iterable[pa.Table]) -> None:
        """Make the table hold these rows and no others; make it anew where it is not there or has other columns.

        ``layout`` may grow while the rows are taken. They may be read and typed in other threads.
        """
        ...

    def commit(self, meta: Meta) -> None:
        """Write what the target now says of itself, and show everything. Tables that ``meta`` has not are gone."""
        ...

    def rollback(self) -> None:
        """Forget what was written since `begin`; called after any error, also of `commit`."""
        ...


class Target(NewTarget, Protocol):
    """A copy that can also be brought up to date."""

    @property
    def meta(self) -> Meta | None:
        """What it shows now; None where there is nothing, or nothing that this version of the layout can go on with."""
        ...

    @property
    def worn(self) -> bool:
        """Whether so much of it was replaced that it is better filled anew."""
        ...

    def count(self, table: Table) -> int:
        """Return how many rows the table has now, within what was begun."""
        ...

    def large(self, table: Table, most: int) -> list[int]:
        """Return the ids of rows with ``#large``, or just ``most`` of them where there are more."""
        ...

    def replace(self, table: Table, layout: TableLayout, ids: pa.Int64Array, rows: pa.Table) -> None:
        """Delete the rows with these ids (``#row``; sorted, each once), and add ``rows``, whose ids are among them."""
        ...

    def keep(self, table: Table, ids: pa.Int64Array, last: int | None) -> None:
        """Delete all rows but those with these ids, which may be millions; no rows with ids above the last, if any."""
        ...

"""Answers: an Arrow table, the meaning of its columns, and warnings for its reader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import pyarrow as pa

from ceems_grpc.schema import Column
from ceems_grpc.store.missing import Missing
from ceems_grpc.store.runtime.cancellation import run_cancellable
from ceems_grpc.store.runtime.memory_budget import claim_answer

_Written = TypeVar("_Written")
# Writing more than this takes longer than switching to a thread and back.
_CELLS_WRITTEN_AT_ONCE = 512
_BYTES_WRITTEN_AT_ONCE = 16 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows and the meanings of their columns.

    ``table``: a metric has one column per key, named ``column.key``. ``columns``: the meaning of each column of
    the table, by its whole name or by the part before the first dot. ``expires``: until when a cached answer is valid
    (seconds since the epoch). ``missing``: what the answer lacks because a source could not be asked; such an answer
    is not cached.
    """

    table: pa.Table
    columns: dict[str, Column]
    warnings: tuple[str, ...] = ()
    expires: float | None = None
    missing: tuple[Missing, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """All sentences for the reader: what is missing, then the warnings."""
        return (*(missing.sentence for missing in self.missing), *self.warnings)

    def with_warnings(self, warnings: tuple[str, ...]) -> "Answer":
        """Return the answer with more warnings."""
        return replace(self, warnings=self.warnings + warnings) if warnings else self

    def column_of(self, name: str) -> Column:
        """Return the meaning of a column of the table."""
        column = self.columns.get(name)
        return self.columns[name.partition(".")[0]] if column is None else column

    async def written(self, write: Callable[["Answer"], _Written]) -> _Written:
        """Write the answer in another form. A small answer is written at once, a larger one in a thread.

        Raises `StoreBusyError` if there is no memory for it.
        """
        table = self.table
        cells = table.num_columns * max(table.num_rows, 1)
        if cells <= _CELLS_WRITTEN_AT_ONCE and table.nbytes <= _BYTES_WRITTEN_AT_ONCE:
            return write(self)
        claim_answer(table.nbytes)
        return await run_cancellable(lambda: write(self))


def groups_of_rows(table: pa.Table, by: Sequence[str]) -> list[tuple[object, ...]]:
    """Return for each row its values in the columns by which rows are grouped; empty tuples if there are none."""
    if not by:
        return [()] * table.num_rows
    return list(zip(*(table.column(name).to_pylist() for name in by), strict=True))


def truncate(table: pa.Table, limit: int | None, what: str) -> tuple[pa.Table, tuple[str, ...]]:
    """Cut a table down to a limit; return a warning if rows were cut off."""
    if limit is None or table.num_rows <= limit:
        return table, ()
    return table.slice(0, limit), (limit_warning(limit, what),)


def limit_warning(limit: int, what: str) -> str:
    """Return the warning for an answer that was cut."""
    return f"Only the first {limit} {what} are shown; there are more. Narrow the question, or raise the limit."

"""Answers: an Arrow table whose columns are described, and what its reader should be warned of."""

from dataclasses import dataclass

import pyarrow as pa

from ceems_grpc.domain.columns import Column
from ceems_grpc.store.missing import Missing


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows with their columns' meanings.

    ``table``: metrics are taken apart, one column per key, named ``column.key``. ``columns``: the meaning of each
    column of the table by the part of its name before the first dot. ``expires``: of an answer that was kept, until
    when it is given again (seconds since the epoch). ``missing``: what it lacks since a source could not be asked;
    such an answer is not kept.
    """

    table: pa.Table
    columns: dict[str, Column]
    warnings: tuple[str, ...] = ()
    expires: float | None = None
    missing: tuple[Missing, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """All that its reader should be told: what is missing, and the warnings."""
        return (*(missing.sentence for missing in self.missing), *self.warnings)

    def column_of(self, name: str) -> Column:
        """Return the meaning of a column of the table."""
        return self.columns[name.partition(".")[0]]


def truncate(table: pa.Table, limit: int | None, what: str) -> tuple[pa.Table, tuple[str, ...]]:
    """Cut a table down to a limit, and say so if that cut something off."""
    if limit is None or table.num_rows <= limit:
        return table, ()
    return table.slice(0, limit), (limit_warning(limit, what),)


def limit_warning(limit: int, what: str) -> str:
    """Return the sentence that goes with an answer that was cut."""
    return f"Only the first {limit} {what} are shown; there are more. Narrow the question, or raise the limit."

"""The columns of a file that `ceems_grpc.schema` does not describe, and their types.

Only the values of a column show whether it holds JSON objects. Each reader looks again at a column that has had no
value so far.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from ceems_grpc.schema import METRIC_TABLES, Type, declared_type, is_new_column
from ceems_grpc.store.columnar.layout import quote
from ceems_grpc.store.columnar.values import is_json_object

_ROWS = 1_000
_NO_COLUMNS: Mapping[str, Mapping[str, str]] = {}


class NewColumns:
    """What is known of the new columns of the tables.

    ``columns``: all columns of each table with their declarations, in the file's order.
    """

    def __init__(self, columns: Mapping[str, Mapping[str, str]] = _NO_COLUMNS) -> None:
        self._unknown = {
            table: [name for name in columns[table] if is_new_column(table, name)]
            for table in METRIC_TABLES
            if table in columns
        }
        self._found: dict[str, dict[str, Type]] = {
            table: {name: declared_type(columns[table][name]) for name in names}
            for table, names in self._unknown.items()
        }

    @property
    def found(self) -> Mapping[str, Mapping[str, Type]]:
        """The new columns of each table, and their types."""
        return self._found

    def look(self, connection: sqlite3.Connection) -> None:
        """Look at the columns that have had no value so far."""
        for table, names in self._unknown.items():
            if names:
                self._unknown[table] = self._still_unknown(connection, table, names)

    def _still_unknown(self, connection: sqlite3.Connection, table: str, names: Sequence[str]) -> list[str]:
        """Look at the rows that were added last; return the columns in which these have no value."""
        asked = ", ".join(
            f"total(typeof({quote(name)}) <> 'null' AND {quote(name)} <> ''), total({is_json_object(quote(name))})"
            for name in names
        )
        rows = f"SELECT * FROM {quote(table)} ORDER BY rowid DESC LIMIT {_ROWS}"  # noqa: S608 - a quoted name
        ((*counts,),) = connection.execute(f"SELECT {asked} FROM ({rows})").fetchall()  # noqa: S608 - quoted names
        left = []
        for name, filled, objects in zip(names, counts[::2], counts[1::2], strict=True):
            if objects:
                self._found[table] = self._found[table] | {name: Type.OBJECT}
            elif not filled:
                left.append(name)
        return left

"""How copies of a CEEMS database store each table: its columns, and a column for each key of each metric.

A metric (a JSON object of numbers) becomes one DOUBLE column per key. Most values are finite numbers. Two other values
are stored as codes, because sums, tables and comparisons treat them differently:

- NaN: not a number (the texts ``NaN`` or ``+Inf``, a list); it counts as 0, and no comparison with it is true
- Infinity: JSON's null, that is, a key without a value

Some values cannot be reproduced exactly from these columns. ``inexact`` lists the columns that hold such values;
questions about these columns go to the live file.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import msgspec

from ceems_grpc.schema import Table, Type, is_metric, is_new_column
from ceems_grpc.store.columnar.file_version import Version
from ceems_grpc.store.plan import Key

COLUMN_LAYOUT_VERSION = 5
"""Incremented with every change of this layout. A mirror with another version is rebuilt."""

ROW = "#row"  # SQLite's row id
MOMENT = "#moment"  # last_updated_at in seconds since the epoch; see local_time.moment_of
DAY = "#day"  # start of the UTC day of last_updated_at, in seconds since the epoch
GROUP = "#group"  # the number of the unit's combination of cluster, project, user and so on; see duckdb.groups
LARGE = "#large"  # whether the row may need more than one page of the database


class CannotMirrorError(Exception):
    """The database holds something that a copy cannot store exactly, so only the live file can answer."""


class TableLayout(msgspec.Struct):
    """The layout of one table.

    ``columns``: the columns of the file, in its order. ``keys``: for each metric, {key: column of the copy}.
    ``coded``: columns of the copy that hold codes. ``inexact``: columns of the file that only the file can answer.
    ``unfit``: columns with a text that cannot be put into a JSON row unchanged. ``gappy``: columns with an empty text.
    For these two, see `json_rows.note_texts`. ``objects``: new columns, see `Reader.new_columns`, with a JSON object.
    ``numbers``: new columns that are declared as numbers, with their types.
    """

    columns: tuple[str, ...]
    keys: dict[str, dict[str, str]] = {}
    coded: set[str] = set()
    inexact: set[str] = set()
    unfit: set[str] = set()
    gappy: set[str] = set()
    objects: set[str] = set()
    numbers: dict[str, Type] = {}

    def new_columns(self, table: Table) -> dict[str, Type]:
        """Return the columns that the schema does not describe, and their types."""
        return new_columns(table, self.columns, self.objects, self.numbers)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics, which are stored as one column per key."""
        return tuple(column for column in self.columns if is_metric(column))

    @property
    def plain(self) -> tuple[str, ...]:
        """The columns that are stored unchanged."""
        return tuple(column for column in self.columns if not is_metric(column))

    def column_of(self, key: Key) -> str | None:
        """Return the column of a key in the copy, or None if no row has the key."""
        return self.keys.get(key.column, {}).get(key.name)

    def known_keys(self, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]] | None:
        """Return all keys of each of these metrics, or None if some of their values are not numbers."""
        if self.inexact & set(columns):
            return None
        if any(place in self.coded for column in columns for place in self.keys.get(column, {}).values()):
            return None
        return {column: tuple(sorted(self.keys.get(column, {}))) for column in columns}

    def count_keys(self) -> int:
        """Return the number of keys of all metrics."""
        return sum(map(len, self.keys.values()))

    def add_key(self, column: str, key: str) -> str:
        """Assign a column to a key, and return its name. The caller adds the column to the table."""
        name = f"#{self.count_keys()}"
        self.keys.setdefault(column, {})[key] = name
        return name


class Layout(msgspec.Struct):
    """The layout of all tables. ``zone``: of the file; ``schema_cookie``: SQLite's ``PRAGMA schema_version``."""

    zone: str
    schema_cookie: int
    tables: dict[str, TableLayout] = {}


class Meta(msgspec.Struct):
    """The state of a copy. ``version``: the state of the database that it shows; ``id``: unique to this state."""

    id: str
    layout_version: int
    source: str
    version: Version
    layout: Layout


def new_columns(
    table: Table, columns: Iterable[str], objects: AbstractSet[str], numbers: Mapping[str, Type]
) -> dict[str, Type]:
    """Return the columns that the schema does not describe, and their types; see `TableLayout`."""
    return {
        name: Type.OBJECT if name in objects else numbers.get(name, Type.TEXT)
        for name in columns
        if is_new_column(table, name)
    }


def list_column(column: str) -> str:
    """Return the name of the copy's column with the texts of a JSON array."""
    return f"#list:{column}"


def quote(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Write a text literal for SQL."""
    return "'" + value.replace("'", "''") + "'"

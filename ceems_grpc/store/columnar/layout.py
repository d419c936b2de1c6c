"""How the mirror keeps each table of a CEEMS database: which columns, and where the values of JSON objects are.

A metric (a JSON object of numbers) is one DOUBLE column per key. Most values are finite numbers; two others have codes,
as they mean different things in sums, tables and comparisons:

- NaN: something that is no number (the texts ``NaN`` or ``+Inf``, a list), which counts as 0 but compares with nothing
- Infinity: JSON's null, which is a key without a value

What cannot be told from these columns exactly, in ``inexact``, is asked of the live file instead.
"""

import msgspec

from ceems_grpc.schema import is_metric
from ceems_grpc.store.columnar.file_version import Version
from ceems_grpc.store.plan import Key

COLUMN_LAYOUT_VERSION = 2
"""Another number for every change of what is kept how: mirrors with another one are made anew."""

ROW = "#row"  # SQLite's row id
MOMENT = "#moment"  # last_updated_at in seconds since the epoch, by the rule of localtime.moment_of
DAY = "#day"  # start of the UTC day of last_updated_at, in seconds since the epoch
GROUP = "#group"  # of a unit: the number of its combination of cluster, project, user and so on; see mirror_groups
LARGE = "#large"  # the row may not fit on one page of the database


class CannotMirrorError(Exception):
    """The database holds something that the mirror cannot keep exactly; the live file must answer."""


class TableLayout(msgspec.Struct):
    """One table: ``columns`` in the order of the file, ``keys`` from metric to {key: column of the mirror}.

    ``coded``: columns of the mirror that hold codes. ``inexact``: columns of the file that only the file can answer.
    ``unfit``: columns of which some text cannot be a part of a JSON row as it is; ``gappy``: columns of which some text
    is empty; see `json_rows.note_texts`.
    """

    columns: tuple[str, ...]
    keys: dict[str, dict[str, str]] = {}
    coded: set[str] = set()
    inexact: set[str] = set()
    unfit: set[str] = set()
    gappy: set[str] = set()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The JSON columns that are taken apart."""
        return tuple(column for column in self.columns if is_metric(column))

    @property
    def plain(self) -> tuple[str, ...]:
        """The columns that are kept as they are."""
        return tuple(column for column in self.columns if not is_metric(column))

    def column_of(self, key: Key) -> str | None:
        """Return the mirror's column of a key, or None where no row has it."""
        return self.keys.get(key.column, {}).get(key.name)

    def known_keys(self, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]] | None:
        """Return all keys of each of the metrics; None where some values of theirs are no numbers."""
        if self.inexact & set(columns):
            return None
        if any(place in self.coded for column in columns for place in self.keys.get(column, {}).values()):
            return None
        return {column: tuple(sorted(self.keys.get(column, {}))) for column in columns}

    def count_keys(self) -> int:
        """Return how many keys there are in all columns."""
        return sum(map(len, self.keys.values()))

    def add_key(self, column: str, key: str) -> str:
        """Give a key a column; the caller adds it to the table."""
        name = f"#{self.count_keys()}"
        self.keys.setdefault(column, {})[key] = name
        return name


class Layout(msgspec.Struct):
    """All tables, and what they are a mirror of."""

    zone: str
    schema_cookie: int
    tables: dict[str, TableLayout] = {}


class Meta(msgspec.Struct):
    """What a mirror says of itself. ``version``: the state of the database that it shows; ``id``: of this moment."""

    id: str
    layout_version: int
    source: str
    version: Version
    layout: Layout


def list_column(column: str) -> str:
    """Return the mirror's column with the texts of a JSON array."""
    return f"#list:{column}"


def quote(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Write a text literal for SQL."""
    return "'" + value.replace("'", "''") + "'"

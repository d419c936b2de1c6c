"""The columns of the tables in PostgreSQL. New ones are added automatically; nobody migrates by hand."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

import msgspec

from ceems_grpc.schema import Type, common_type, is_metric
from ceems_grpc.store.columnar.layout import CannotMirrorError, TableLayout, quote, text
from ceems_grpc.store.plan import Table
from ceems_grpc.store.postgres.connection import Error, PostgresConnection
from ceems_grpc.store.postgres.feed.rollups import rollup_columns
from ceems_grpc.store.postgres.schema import DAILY, HOURLY, MOST_KEYS, TableCatalog, json_column, json_objects, type_of


class Catalogs:
    """The catalog as one feeder sees it. Other feeders can add to it at any time; nothing is ever removed.

    It grows in separate transactions, before any row is written. Adding a column takes a lock, and on a shard that lock
    would wait forever for rows that the same feeder has written there.
    """

    def __init__(self, connection: PostgresConnection, schema: str, weights: dict[str, str]) -> None:
        self._connection = connection
        self._space = quote(schema)
        self._weights = weights
        self._known: dict[Table, TableCatalog] = {}

    def of(self, table: Table) -> TableCatalog:
        """Return the entry of a table as it was when it was last read."""
        known = self._known.get(table)
        return self._read(table) if known is None else known

    def fit(self, table: Table, layout: TableLayout, names: Iterable[str]) -> Mapping[str, str]:
        """Add columns for the layout, and for its keys whose columns are among ``names``.

        Returns {column of the layout: column of PostgreSQL} for these keys. Raises `CannotMirrorError` if there are too
        many keys.
        """
        # Another thread may add to the layout, but entries of these names do not change.
        wanted = set(names)
        keys = {
            place: (metric, key)
            for metric, found in list(layout.keys.items())
            for key, place in list(found.items())
            if place in wanted
        }
        coded = {keys[place] for place in layout.coded.copy() if place in keys}
        if not self._fits(table, layout, keys.values(), coded):
            self._grow(table, layout, keys.values(), coded)
        catalog = self.of(table)
        return {place: catalog.keys[metric][key] for place, (metric, key) in keys.items()}

    def _fits(
        self, table: Table, layout: TableLayout, keys: Iterable[tuple[str, str]], coded: set[tuple[str, str]]
    ) -> bool:
        catalog = self.of(table)
        return (
            set(layout.columns) <= set(catalog.columns)
            and all(key in catalog.keys.get(metric, {}) for metric, key in keys)
            and {catalog.keys[metric][key] for metric, key in coded} <= catalog.coded
            and layout.inexact.copy() <= catalog.inexact
            and layout.objects.copy() <= catalog.objects
            and _numbers(catalog, layout) == catalog.numbers
            and (table is not Table.UNITS or catalog.weights == self._weights)
        )

    def _grow(
        self, table: Table, layout: TableLayout, keys: Iterable[tuple[str, str]], coded: set[tuple[str, str]]
    ) -> None:
        with transaction(self._connection):
            self._connection.run(
                f"INSERT INTO {self._space}.catalog VALUES ({text(table)}, '{{}}') ON CONFLICT DO NOTHING"  # noqa: S608 - quoted
            )
            catalog = self._read(table, lock=True)
            rollups = set(rollup_columns(catalog))
            fresh = [name for name in layout.columns if name not in catalog.columns]
            made = [(str(table), name, type_of(name)) for name in fresh if not is_metric(name)]
            catalog.numbers = _numbers(catalog, layout)
            catalog.columns = (*catalog.columns, *fresh)
            for metric, key in keys:
                if key in catalog.keys.get(metric, {}):
                    continue
                if sum(map(len, catalog.keys.values())) >= MOST_KEYS:
                    raise CannotMirrorError(f"table {table} has more than {MOST_KEYS} different keys of metrics")
                made.append((table, catalog.add_key(metric, key), "double precision"))
            if table is Table.UNITS:
                catalog.weights = self._weights
                new = [name for name in rollup_columns(catalog) if name not in rollups]
                made += [(rollup, name, "double precision") for rollup in (HOURLY, DAILY) for name in new]
            catalog.coded |= {catalog.keys[metric][key] for metric, key in coded}
            catalog.inexact |= layout.inexact.copy()
            found = layout.objects.copy() - catalog.objects
            made += [(table, json_column(name), "jsonb") for name in found & set(json_objects(table, found))]
            catalog.objects |= found
            self._add(made)
            encoded = text(msgspec.json.encode(catalog).decode())
            self._connection.run(
                f"UPDATE {self._space}.catalog SET layout = {encoded}::jsonb WHERE table_name = {text(table)}"  # noqa: S608 - quoted
            )
        self._known[table] = catalog

    def _add(self, made: list[tuple[str, str, str]]) -> None:
        """Add columns, given as (table, name, type)."""
        names: dict[tuple[str, str], list[str]] = {}
        for table, name, kind in made:
            names.setdefault((table, kind), []).append(text(name))
        for (table, kind), listed in names.items():
            self._connection.fetch(
                f"SELECT {self._space}.add_columns({text(table)}, ARRAY[{', '.join(listed)}], {text(kind)})"
            )

    def _read(self, table: Table, *, lock: bool = False) -> TableCatalog:
        statement = f"SELECT layout::text FROM {self._space}.catalog WHERE table_name = {text(table)}"  # noqa: S608 - quoted
        found = self._connection.fetch(statement + (" FOR UPDATE" if lock else "")).column(0).to_pylist()
        catalog = msgspec.json.decode(found[0], type=TableCatalog) if found else TableCatalog()
        self._known[table] = catalog
        return catalog


@contextmanager
def transaction(connection: PostgresConnection) -> Iterator[None]:
    """Commit what the context does, or nothing if it raises."""
    connection.run("BEGIN")
    try:
        yield
        connection.run("COMMIT")
    except BaseException:
        with suppress(Error):  # a connection that is gone has rolled back
            connection.run("ROLLBACK")
        raise


def _numbers(catalog: TableCatalog, layout: TableLayout) -> dict[str, Type]:
    """Return `TableCatalog.numbers` with the columns of another layout."""
    found = dict(catalog.numbers)
    for name in layout.columns:
        declared = layout.numbers.get(name, Type.TEXT)
        both = common_type(declared, found.pop(name, Type.TEXT)) if name in catalog.columns else declared
        if both is not Type.TEXT:
            found[name] = both
    return found

"""The interface of stores and their readers."""

from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from ceems_grpc.schema import Type
from ceems_grpc.store.plan import Aggregate, Distinct, Histogram, KeyScan, Scan, Spread, Table


@dataclass(frozen=True, slots=True)
class Facts:
    """A description of a database, for health checks and diagnostics.

    ``newest_update``: in UTC; None if there are no units. ``schema_version``: 0 if the file does not have one.
    ``missing_tables``: tables of the supported version of CEEMS that the database lacks. ``mirror``: the state of the
    mirror that answers heavy questions: ``fresh``, ``behind`` (being made or updated) or ``none``. ``mirror_problem``:
    for administrators, why the mirror could not be made or updated; otherwise empty. ``sources``: the facts of each
    source if several are merged.
    ``unusable``: for each ``table.column``, the number of values that it may not hold, among the newest rows of the
    table; see `ceems_grpc.store.columnar.values`. Columns without such values are left out.
    """

    location: str
    schema_version: int
    zone: str
    zone_guessed: bool
    clusters: tuple[tuple[str, str], ...]
    units: int
    newest_update: datetime | None
    missing_tables: tuple[Table, ...]
    mirror: str = "none"
    mirror_problem: str = ""
    sources: tuple["SourceFacts", ...] = ()
    unusable: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """One of several sources. ``facts`` is None if the source does not answer.

    ``problem``: safe to show to anybody; it can be set together with ``facts``. ``detail``: for administrators.
    """

    name: str
    facts: Facts | None
    problem: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MirrorStatus:
    """The state of a mirror. ``fresh``: it equals the database.

    ``age``: seconds since the mirror was last known to be fresh; 0.0 while it is, None if there is no mirror yet.
    """

    fresh: bool
    age: float | None


@runtime_checkable
class HasMirrors(Protocol):
    """A store that can have mirrors."""

    def mirrors(self) -> Mapping[str, MirrorStatus]:
        """Return the state of each mirror by the name of its source ("" for a single source). Reads file metadata."""
        ...


class Reader(Protocol):
    """A consistent view of the database: all answers of a reader are from the same moment."""

    def has(self, table: Table, column: str | None = None) -> bool:
        """Return whether the database has the table (and the column)."""
        ...

    @property
    def zone(self) -> tzinfo:
        """The time zone in which the site writes its local times."""
        ...

    def new_columns(self, table: Table) -> Mapping[str, Type]:
        """Return the columns of a table that `ceems_grpc.schema` does not describe, in the order of the database.

        A column holds objects if any of its values is a JSON object. Otherwise its declaration decides. Scans return
        the values of all of them as texts; see `ceems_grpc.store.columnar.values.numbers_of_texts`.
        """
        ...

    async def table(self, scan: Scan) -> pa.Table:
        """Return all rows of a scan."""
        ...

    def batches(self, scan: Scan) -> AsyncIterator[pa.RecordBatch]:
        """Return the rows of a scan in batches of the same schema. `AllKeys` columns are not allowed."""
        ...

    async def aggregate(self, plan: Aggregate) -> pa.Table:
        """Return one row per group."""
        ...

    async def spread(self, plan: Spread) -> pa.Table:
        """Return one row per group and step."""
        ...

    async def histogram(self, plan: Histogram) -> pa.Table:
        """Return the number of units per group, step and bucket, sorted by these."""
        ...

    async def keys(self, plan: KeyScan) -> dict[str, tuple[str, ...]]:
        """Return the sorted keys of each column; an empty tuple for a column without keys."""
        ...

    async def distinct(self, plan: Distinct) -> pa.Table:
        """Return the distinct values of the columns, sorted."""
        ...


@runtime_checkable
class KnowsKeys(Protocol):
    """A reader that can know keys without reading rows."""

    def known_keys(self, table: Table, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]] | None:
        """Return the sorted keys of each metric over all rows; None if only rows can tell.

        Every key has numbers in some row. Over rows without the key, all its sums are null.
        """
        ...


@runtime_checkable
class SharesMoment(Protocol):
    """A reader of a moment that other readers share. Results that depend only on the moment are computed once."""

    @property
    def found(self) -> dict[str, Any]:
        """Results that readers of the moment have computed, by name. They are shared until the database changes."""
        ...


class Store(Protocol):
    """A database. All methods raise `StoreError` if it cannot answer."""

    def read(self) -> AbstractAsyncContextManager[Reader]:
        """Open a reader. Close it soon: an open reader can keep the writer from truncating its write-ahead log."""
        ...

    async def facts(self) -> Facts:
        """Describe the database."""
        ...

    async def version(self) -> Hashable:
        """Return a value that changes with every change of the database. Cheap: it reads no rows."""
        ...

    async def close(self) -> None:
        """Close files and connections. The store cannot be used afterwards."""
        ...


@runtime_checkable
class ReadsInOneThread(Protocol):
    """A store that can answer a question in one thread; see `ceems_grpc.store.runtime.cancellation.in_one_thread`."""

    def begin(self) -> None:
        """Start background work. Call it in the event loop, before `read_here`."""
        ...

    def read_here(self) -> AbstractAsyncContextManager[Reader]:
        """Open a reader in the thread of the caller.

        Raises `NeedsLoopError` if the answer has to wait. The question then goes to `Store.read`.
        """
        ...

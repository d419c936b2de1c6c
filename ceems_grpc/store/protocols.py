"""What every store offers."""

from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol, runtime_checkable

import pyarrow as pa

from ceems_grpc.store.plan import Aggregate, Distinct, KeyScan, Scan, Spread, Table


@dataclass(frozen=True, slots=True)
class Facts:
    """What a database is: for health checks and diagnoses.

    ``newest_update`` is a UTC instant, or None where there are no units. ``schema_version`` is 0 where the file does
    not say. ``missing_tables`` are those that this version of CEEMS would have and the file has not. ``mirror``:
    whether heavy questions are answered from a mirror now: ``fresh``, ``behind`` (made or catching up), ``none``.
    ``mirror_problem``: why it could not be made or brought up to date, for administrators, or nothing.
    ``parts``: of several sources that are merged, each.
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
    parts: tuple["PartFacts", ...] = ()


@dataclass(frozen=True, slots=True)
class PartFacts:
    """One of several sources: what it is, or (``facts`` None) why it cannot say.

    ``problem``, which may also be beside facts, is safe to show to anybody, ``detail`` is for administrators.
    """

    name: str
    facts: Facts | None
    problem: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MirrorStatus:
    """How a mirror is. ``fresh``: it shows the database as it is.

    ``age``: seconds since it was last seen to do so, 0.0 while it does; None where there is no mirror yet.
    """

    fresh: bool
    age: float | None


@runtime_checkable
class HasMirrors(Protocol):
    """A store that may answer from mirrors."""

    def mirrors(self) -> Mapping[str, MirrorStatus]:
        """Return how the mirrors are, by the name of their source (of a single source ""). It looks at files."""
        ...


class Reader(Protocol):
    """One consistent look at the database: all answers of a reader come from the same moment."""

    def has(self, table: Table, column: str | None = None) -> bool:
        """Tell whether the database has the table (and the column)."""
        ...

    @property
    def zone(self) -> tzinfo:
        """The zone in which the site writes its local times."""
        ...

    async def table(self, scan: Scan) -> pa.Table:
        """Return all rows of a scan."""
        ...

    def batches(self, scan: Scan) -> AsyncIterator[pa.RecordBatch]:
        """Return the rows of a scan bit by bit, all batches with the same schema; `AllKeys` columns are not allowed."""
        ...

    async def aggregate(self, plan: Aggregate) -> pa.Table:
        """Return one row per group."""
        ...

    async def spread(self, plan: Spread) -> pa.Table:
        """Return one row per group and step."""
        ...

    async def keys(self, plan: KeyScan) -> dict[str, tuple[str, ...]]:
        """Return the sorted keys of each column; a column without any has an empty tuple."""
        ...

    async def distinct(self, plan: Distinct) -> pa.Table:
        """Return the different values of the columns, ordered by them."""
        ...


@runtime_checkable
class KnowsKeys(Protocol):
    """A reader that may know keys without looking for them among rows."""

    def known_keys(self, table: Table, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]] | None:
        """Return the sorted keys that any row has in each of the metrics; None where rows must tell.

        Every key is one that has numbers: over rows that do not have it, all sums are null.
        """
        ...


class Store(Protocol):
    """A source of rows. All methods raise `StoreError` where the source cannot answer."""

    def read(self) -> AbstractAsyncContextManager[Reader]:
        """Open a reader; it must be closed soon, since it may hold back a writer's housekeeping."""
        ...

    async def facts(self) -> Facts:
        """Describe the database."""
        ...

    async def version(self) -> Hashable:
        """Return a value that is another one after every change of the database; cheap, without reading rows."""
        ...

    async def close(self) -> None:
        """Let go of files and connections; the store is not used afterwards."""
        ...

"""The rows of one of several sources, in batches."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pyarrow as pa

from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.merged.rows import RowMerge, in_thread
from ceems_grpc.store.merged.session import KnownSession
from ceems_grpc.store.merged.source_columns import SourceColumns
from ceems_grpc.store.protocols import Reader

_Work = Callable[[KnownSession, Reader], Awaitable[pa.Table | None]]
_Ask = Callable[[KnownSession, _Work], Awaitable[pa.Table | None]]


class SourceBatches:
    """The rows of a scan in one source, in batches. ``ask`` runs work on the source and returns None if it fails."""

    def __init__(self, ask: _Ask, session: KnownSession, merge: RowMerge) -> None:
        self._ask = ask
        self._session = session
        self._merge = merge
        self._batches: AsyncIterator[pa.RecordBatch] | None = None
        self._columns: SourceColumns | None = None

    async def next(self) -> pa.Table | None:
        """Return the next rows; None after the last ones, or if the source has failed."""
        return await self._ask(self._session, self._next)

    async def _next(self, session: KnownSession, reader: Reader) -> pa.Table | None:
        if self._batches is None:
            columns = SourceColumns(session, reader, self._merge.scan.table)
            if columns.is_foreign([name for name in self._merge.scan.columns if isinstance(name, str)]):
                return None
            self._columns = columns
            self._batches = reader.batches(self._merge.source_scan(columns.has, columns.where(self._merge.scan.where)))
        batch = await anext(self._batches, None)
        if batch is None or self._columns is None:
            return None
        columns, rows = self._columns, pa.Table.from_batches([batch])
        return await in_thread(
            rows.num_rows, lambda: self._merge.aligned(columns.only_own_clusters(rows), columns.fill)
        )

    async def close(self) -> None:
        """End the query."""
        batches: Any = self._batches
        if batches is not None and hasattr(batches, "aclose"):
            with suppress(StoreError):
                await self._session.ask(lambda _: batches.aclose())

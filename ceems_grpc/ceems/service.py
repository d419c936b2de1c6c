"""All questions in one place: who asks, within which limits, from which store."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import pyarrow as pa

from ceems_grpc.ceems import directory, stats, suggest, units, usage
from ceems_grpc.ceems.access import Access, Rights, open_access
from ceems_grpc.ceems.answer import Answer
from ceems_grpc.ceems.cache import UsageCache
from ceems_grpc.ceems.errors import no_user
from ceems_grpc.ceems.once import Once
from ceems_grpc.ceems.questions import (
    AsAdmin,
    DirectoryQuestion,
    Mode,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    VerifyQuestion,
    Viewer,
)
from ceems_grpc.ceems.readahead import read_ahead
from ceems_grpc.ceems.steps import Steps
from ceems_grpc.ceems.suggest import Suggestion, SuggestQuestion
from ceems_grpc.ceems.window import Window, check_window
from ceems_grpc.store.base import Store

_Limited = TypeVar("_Limited", UnitsQuestion, UsageQuestion, StatsQuestion, DirectoryQuestion)


@dataclass(frozen=True, slots=True)
class Limits:
    """``max_window``: longest window that may be asked for (None: any); ``rows``: most rows of an answer."""

    max_window: timedelta | None = None
    rows: int | None = None


class Ceems:
    """Answers questions from a store.

    Every method takes the viewer (None: nobody is signed in) and raises `QuestionError` for questions that get an
    error for an answer, `StoreError` where the store cannot answer.
    """

    def __init__(self, store: Store, limits: Limits | None = None, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.limits = limits or Limits()
        self._clock = clock
        self._rights = Rights(clock)
        self._usage = UsageCache(timer=clock)
        self._running: Once[Any] = Once()

    async def close(self) -> None:
        """Let go of the store and of kept answers."""
        self._usage.clear()
        await self.store.close()

    def now(self) -> int:
        """Return the present, in seconds since the epoch."""
        return int(self._clock())

    async def units(self, viewer: Viewer | None, question: UnitsQuestion) -> Answer:
        """Answer which units there are, as a table; see `units.units_table`."""
        self._check_units(question)
        limited = self._limit(question)
        return await self._once(viewer, limited.admin, limited, lambda access: units.units_table(access, limited))

    def units_stream(
        self, viewer: Viewer | None, question: UnitsQuestion, timezone: str | None, warnings: list[str]
    ) -> AsyncGenerator[pa.RecordBatch, None]:
        """Answer the same bit by bit; see `units.units_batches`. Rows are read ahead of a slow consumer."""

        async def run() -> AsyncGenerator[pa.RecordBatch, None]:
            self._check_units(question)
            async with self._access(viewer, question.admin) as access:
                async for batch in units.units_batches(access, self._limit(question), timezone, warnings):
                    yield batch

        return read_ahead(run())

    async def require(self, viewer: Viewer | None, admin: AsAdmin) -> None:
        """Return if the viewer may ask at all; else raise the API's error (401, 403)."""
        async with self._access(viewer, admin):
            pass

    async def usage(self, viewer: Viewer | None, question: UsageQuestion) -> Answer:
        """Answer what was used; see `usage.usage`."""
        if question.mode is Mode.CURRENT:
            self._check(question.window)
        limited = usage.normalised(self._limit(question))
        async with self._access(viewer, limited.admin) as access:
            rights = await access.usage(limited.choice.users, limited.choice.projects)
            limited = replace(limited, admin=access.as_admin)
            # Only now: the first reader of a file in WAL mode makes an empty log beside it.
            key = (viewer, rights, limited, await self.store.version())

        async def work() -> Answer:
            return await self._ask(viewer, limited.admin, lambda access: usage.usage(access, limited))

        return await self._usage.get(key, work)

    async def usage_over_time(self, viewer: Viewer | None, question: UsageOverTimeQuestion) -> tuple[Answer, Steps]:
        """Answer what was used step by step; see `usage.usage_over_time`."""
        self._check(question.window)
        return await self._once(viewer, question.admin, question, lambda a: usage.usage_over_time(a, question))

    async def stats(self, viewer: Viewer | None, question: StatsQuestion) -> Answer:
        """Answer how many units, projects and users there are; see `stats.stats`."""
        if question.mode is Mode.CURRENT:
            self._check(question.window)
        limited = self._limit(question)
        return await self._once(viewer, limited.admin, limited, lambda access: stats.stats(access, limited))

    async def directory(self, viewer: Viewer | None, question: DirectoryQuestion) -> Answer:
        """Answer which users, projects, clusters or administrators there are; see `directory.directory`."""
        limited = self._limit(question)
        return await self._once(viewer, limited.admin, limited, lambda access: directory.directory(access, limited))

    async def verify(self, viewer: Viewer | None, question: VerifyQuestion) -> None:
        """Return if the units are the viewer's to see; see `directory.verify`."""
        await self._ask(viewer, False, lambda access: directory.verify(access, question))

    async def suggest(self, viewer: Viewer | None, question: SuggestQuestion) -> tuple[list[Suggestion], bool]:
        """Suggest values for a drop-down; see `suggest.suggest`."""
        return await self._once(viewer, question.admin, question, lambda access: suggest.suggest(access, question))

    # What all questions share

    @asynccontextmanager
    async def _access(self, viewer: Viewer | None, admin: AsAdmin) -> AsyncIterator[Access]:
        if viewer is None:
            raise no_user()
        async with self.store.read() as reader:
            yield await open_access(reader, viewer, admin, self._rights)

    async def _ask(
        self, viewer: Viewer | None, admin: AsAdmin, answer: Callable[[Access], Awaitable["_Result"]]
    ) -> "_Result":
        async with self._access(viewer, admin) as access:
            return await answer(access)

    async def _once(
        self,
        viewer: Viewer | None,
        admin: AsAdmin,
        question: Hashable,
        answer: Callable[[Access], Awaitable["_Result"]],
    ) -> "_Result":
        """Ask; the same question of the same viewer that comes while it runs waits for its answer."""
        result: _Result = await self._running.run((viewer, question), lambda: self._ask(viewer, admin, answer))
        return result

    def _check_units(self, question: UnitsQuestion) -> None:
        if not question.uuids:
            self._check(question.window)

    def _check(self, window: Window) -> None:
        check_window(window, self.limits.max_window)

    def _limit(self, question: _Limited) -> _Limited:
        limits = [limit for limit in (question.limit, self.limits.rows) if limit is not None]
        return replace(question, limit=min(limits)) if limits else question


_Result = TypeVar("_Result")

"""The entry point of all questions: it checks the viewer and the limits, then asks the store."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta, tzinfo
from typing import Any, TypeVar, cast

import pyarrow as pa

from ceems_grpc.domain.access import SHARED_TAGS, Access, AdminScope, Rights, open_access
from ceems_grpc.domain.answers import directory, distribution, stats, units, usage, usage_over_time
from ceems_grpc.domain.answers import suggestions as suggest
from ceems_grpc.domain.answers.answer import Answer
from ceems_grpc.domain.answers.suggestions import Suggestions, SuggestQuestion
from ceems_grpc.domain.cache import UsageCache, short_key
from ceems_grpc.domain.cost import CostedQuestion, cost_of
from ceems_grpc.domain.errors import no_user
from ceems_grpc.domain.questions.buckets import Buckets
from ceems_grpc.domain.questions.limits import check_limits
from ceems_grpc.domain.questions.model import (
    AsAdmin,
    DirectoryQuestion,
    DistributionQuestion,
    Mode,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    VerifyQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.steps import TimeSteps
from ceems_grpc.domain.questions.window import Window, check_window
from ceems_grpc.domain.read_ahead import read_ahead
from ceems_grpc.domain.single_flight import SingleFlight
from ceems_grpc.domain.unusable import UnusableValues
from ceems_grpc.store.columnar.json_rows import JsonText
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.missing import Missing, missing_of
from ceems_grpc.store.protocols import Facts, Reader, ReadsInOneThread, Store
from ceems_grpc.store.runtime.admission import Queue
from ceems_grpc.store.runtime.cancellation import NeedsLoopError, in_one_thread, is_in_one_thread, run_cancellable
from ceems_grpc.store.runtime.cost import CostClass
from ceems_grpc.store.runtime.memory_budget import BUDGET
from ceems_grpc.store.runtime.query_trace import QueryTrace, merge, trace_query

_MOST_BYTES_AT_ONCE = 8 * 1024 * 1024  # of the text of a small question's units; a longer text is read ahead in parts
_Counted = TypeVar("_Counted", bound=UsageQuestion | StatsQuestion)
_Limited = TypeVar("_Limited", bound=UnitsQuestion | UsageQuestion | StatsQuestion | DirectoryQuestion)


@dataclass(frozen=True, slots=True)
class Limits:
    """``max_window``: the longest window of a question (None: any). ``rows``: the most rows of an answer.

    ``shared_tags``: the tags by which members may group each other's usage; see `access.SHARED_TAGS`.
    """

    max_window: timedelta | None = None
    rows: int | None = None
    shared_tags: frozenset[str] = SHARED_TAGS


class Ceems:
    """Answers questions from a store.

    Every method takes the viewer (None: no user is signed in). It raises `QuestionError` for a question that is wrong
    or not allowed, and `StoreError` if the store cannot answer.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        queue: Queue | None = None,
    ) -> None:
        """Answer from an open store. ``queue``: the queue of the store, if others use it too."""
        self.store = store
        self.limits = limits or Limits()
        self._clock = clock
        self._rights = Rights(clock)
        self._usage = UsageCache(BUDGET.cache_share, timer=clock)
        self._running: SingleFlight[Any] = SingleFlight()
        self._queue = queue or Queue()
        self._unusable = UnusableValues(self.facts, clock)

    async def close(self) -> None:
        """Close the store and drop cached answers."""
        self._usage.clear()
        await self._unusable.close()
        await self.store.close()

    def now(self) -> int:
        """Return the present, in seconds since the epoch."""
        return int(self._clock())

    async def units(self, viewer: Viewer | None, question: UnitsQuestion) -> Answer:
        """Return units as a table; see `units.units_table`."""
        check_limits(question)
        self._check_units(question)
        limited = self.limited(question)
        return await self._once(viewer, limited, lambda access: units.units_table(access, limited, self.now()))

    def units_stream(
        self, viewer: Viewer | None, question: UnitsQuestion, timezone: str | None, warnings: list[str]
    ) -> AsyncGenerator[pa.RecordBatch | JsonText, None]:
        """Return units batch by batch; see `units.units_batches`. Rows are read ahead of a slow consumer."""

        async def run() -> AsyncGenerator[pa.RecordBatch | JsonText, None]:
            check_limits(question)
            self._check_units(question)
            cost = await self._cost(viewer, question)
            async with self._queue.turn(cost), self._access(viewer, question.admin) as access:
                async for batch in units.units_batches(access, self.limited(question), timezone, warnings):
                    yield batch
                warnings.extend(missing.sentence for missing in missing_of(access.reader))

        return read_ahead(run())

    async def units_texts(
        self,
        viewer: Viewer | None,
        question: UnitsQuestion,
        timezone: str | None,
        warnings: list[str],
        write: Callable[[pa.RecordBatch | JsonText], Iterable[bytes]],
    ) -> AsyncGenerator[bytes, None]:
        """Yield the rows of `units_stream` as texts. Few rows come as one text, joined by commas.

        ``write``: writes the rows of an item, in a thread.
        """
        few = await self._few_units(viewer, question, timezone, warnings, write)
        if few is not None:
            yield few
            return
        warnings.clear()
        async with aclosing(self.units_stream(viewer, question, timezone, warnings)) as items:
            async for item in items:
                for text in await run_cancellable(lambda item=item: list(write(item))):  # type: ignore[misc]
                    yield text

    async def _few_units(
        self,
        viewer: Viewer | None,
        question: UnitsQuestion,
        timezone: str | None,
        warnings: list[str],
        write: Callable[[pa.RecordBatch | JsonText], Iterable[bytes]],
    ) -> bytes | None:
        """Return the rows of a small question as text; None if it is large, or cannot be answered in one thread."""
        check_limits(question)
        self._check_units(question)
        limited, cost = self.limited(question), await self._cost(viewer, question)
        if cost is not CostClass.SMALL or not isinstance(self.store, ReadsInOneThread):
            return None

        async def work() -> bytes | None:
            texts: list[bytes] = []
            size = 0
            async with self._access(viewer, question.admin) as access:
                async with aclosing(units.units_batches(access, limited, timezone, warnings)) as batches:
                    async for batch in batches:
                        for text in write(batch):
                            texts.append(text)
                            size += len(text)
                        if size > _MOST_BYTES_AT_ONCE:
                            return None
                return b",".join(texts)

        self.store.begin()
        try:
            async with self._queue.turn(cost):
                return await in_one_thread(work)
        except NeedsLoopError:
            return None

    async def require(self, viewer: Viewer | None, admin: AsAdmin) -> None:
        """Return if the viewer may ask questions; otherwise raise the API's error (401, 403)."""

        async def work() -> None:
            async with self._access(viewer, admin):
                pass

        async with self._queue.turn(CostClass.SMALL):
            await self._run_small(work)

    async def facts(self) -> Facts:
        """Describe the database; see `Store.facts`."""
        facts: Facts = await self._running.run(Facts, self._facts)
        return facts

    async def reach(self) -> None:
        """Return if the database can be opened; otherwise raise `StoreError`."""

        async def work() -> None:
            async with self._read():
                pass

        async with self._queue.turn(CostClass.SMALL):
            await self._run_small(work)

    async def usage(self, viewer: Viewer | None, question: UsageQuestion, *, whole: bool = False) -> Answer:
        """Return usage; see `usage.usage`. ``whole``: the caller checks and limits the whole question."""
        limited = usage.normalize(question if whole else self._admitted(question))

        async def begin() -> _UsageBegun:
            before = await self._version()
            async with self._access(viewer, limited.admin) as access:
                selection = limited.selection
                rights = await access.usage(selection.users, selection.projects, limited.group_by)
                # An administrator of some clusters keeps the question's own choice.
                own = replace(limited, admin=access.as_admin) if access.clusters is None else limited
                # Not earlier, because the first reader of a file in WAL mode creates an empty log next to it.
                version = await self.store.version()
                begun = _UsageBegun(access.as_admin, own, (short_key(viewer, rights, own), version))
                # A few totals take no longer than the rights. The same reader answers if it shows the key's version.
                few = own.mode is Mode.GLOBAL and cost_of(own, as_admin=access.as_admin) is CostClass.SMALL
                if few and before == version and not self._usage.keeps(begun.key):
                    with trace_query() as begun.trace:
                        answer = await usage.usage(access, own, self.now())
                        begun.answer = _with_missing(answer, missing_of(access.reader))
                return begun

        async with self._queue.turn(CostClass.SMALL):
            begun = await self._run_small(begin)

        async def work() -> Answer:
            if begun.answer is not None:
                merge(begun.trace)
                return await self._with_database_notice(begun.answer, as_admin=begun.as_admin)
            cost = cost_of(begun.asked, as_admin=begun.as_admin)
            return await self._ask(
                viewer, begun.asked.admin, lambda access: usage.usage(access, begun.asked, self.now()), cost
            )

        return await self._usage.get(begun.key, work)

    async def usage_over_time(
        self, viewer: Viewer | None, question: UsageOverTimeQuestion, *, whole: bool = False
    ) -> tuple[Answer, TimeSteps]:
        """Return usage per time step; see `usage_over_time.usage_over_time`. ``whole``: as in `usage`."""
        if not whole:
            check_limits(question)
            self.check_window(question.window)
        return await self._once(viewer, question, lambda access: usage_over_time.usage_over_time(access, question))

    async def distribution(
        self, viewer: Viewer | None, question: DistributionQuestion
    ) -> tuple[Answer, TimeSteps, Buckets]:
        """Return how values of units are distributed; see `distribution.distribution`."""
        check_limits(question)
        self.check_window(question.window)
        asked = distribution.normalize(question)
        return await self._once(viewer, asked, lambda access: distribution.distribution(access, asked, self.now()))

    async def stats(self, viewer: Viewer | None, question: StatsQuestion, *, whole: bool = False) -> Answer:
        """Return the numbers of units, projects and users; see `stats.stats`. ``whole``: as in `usage`."""
        limited = question if whole else self._admitted(question)
        return await self._once(viewer, limited, lambda access: stats.stats(access, limited))

    async def site_zone(self) -> tzinfo:
        """Return the time zone in which the site writes its local times."""

        async def work() -> tzinfo:
            async with self._read() as reader:
                return reader.zone

        async with self._queue.turn(CostClass.SMALL):
            return await self._run_small(work)

    async def directory(self, viewer: Viewer | None, question: DirectoryQuestion) -> Answer:
        """Return users, projects, clusters or administrators; see `directory.directory`."""
        check_limits(question)
        limited = self.limited(question)
        return await self._once(viewer, limited, lambda access: directory.directory(access, limited))

    async def verify(self, viewer: Viewer | None, question: VerifyQuestion) -> None:
        """Return if the viewer may see the units; see `directory.verify`."""
        await self._ask(viewer, False, lambda access: directory.verify(access, question))

    async def suggest(self, viewer: Viewer | None, question: SuggestQuestion) -> Suggestions:
        """Suggest values for a drop-down; see `suggest.suggest`."""
        return await self._once(viewer, question, lambda access: suggest.suggest(access, question))

    # Shared by all questions

    @asynccontextmanager
    async def _access(self, viewer: Viewer | None, admin: AsAdmin) -> AsyncIterator[Access]:
        if viewer is None:
            raise no_user()
        async with self._read() as reader:
            yield await open_access(reader, viewer, admin, self._rights, self.limits.shared_tags)

    def _read(self) -> AbstractAsyncContextManager[Reader]:
        store = self.store
        return store.read_here() if is_in_one_thread() and isinstance(store, ReadsInOneThread) else store.read()

    async def _run_small(self, work: Callable[[], Coroutine[Any, Any, "_Result"]]) -> "_Result":
        """Do the work of a small question, which opens a reader. It runs in one thread if the store supports that."""
        if isinstance(self.store, ReadsInOneThread):
            self.store.begin()
            try:
                return await in_one_thread(work)
            except NeedsLoopError:
                pass  # the mirror is behind; `read` can wait for it
        return await work()

    async def _ask(
        self,
        viewer: Viewer | None,
        admin: AsAdmin,
        answer: Callable[[Access], Awaitable["_Result"]],
        cost: CostClass = CostClass.SMALL,
    ) -> "_Result":
        async def work() -> tuple[_Result, bool]:
            async with self._access(viewer, admin) as access:
                return _with_missing(await answer(access), missing_of(access.reader)), access.as_admin

        async with self._queue.turn(cost):
            result, as_admin = await (self._run_small(work) if cost is CostClass.SMALL else work())
        return await self._with_database_notice(result, as_admin=as_admin)

    async def _with_database_notice(self, result: "_Result", *, as_admin: bool) -> "_Result":
        """Add the notices about the database that administrators get."""
        return _with_notice(result, await self._unusable.notice()) if as_admin else result

    async def _version(self) -> Hashable:
        """Return the version of a database that this thread can read; None if it cannot, or if reading fails."""
        try:
            return await self.store.version() if is_in_one_thread() else None
        except StoreError:
            return None

    async def _cost(self, viewer: Viewer | None, question: "_Asked") -> CostClass:
        """Return the cost class of a question. Raises an error at once for viewers who may not ask as admin."""
        if isinstance(question, DirectoryQuestion | SuggestQuestion):
            return CostClass.SMALL
        own, everybody = (cost_of(question, as_admin=as_admin) for as_admin in (False, True))
        if question.admin is False or everybody is CostClass.SMALL:
            return own if question.admin is False else everybody
        if viewer is not None:
            scope = AdminScope(True) if viewer.admin_by_role else self._rights.known(viewer.login)
            if scope is not None and scope.is_admin:  # other viewers may get an error at once
                return everybody

        async def is_admin() -> bool:
            async with self._access(viewer, question.admin) as access:
                return access.as_admin

        async with self._queue.turn(CostClass.SMALL):
            return everybody if await self._run_small(is_admin) else own

    async def _facts(self) -> Facts:
        async with self._queue.turn(CostClass.SMALL):
            return await self.store.facts()

    async def _once(
        self,
        viewer: Viewer | None,
        question: "_Asked",
        answer: Callable[[Access], Awaitable["_Result"]],
    ) -> "_Result":
        """Run a question. If the same viewer asks it again while it runs, both get the same answer."""

        async def work() -> _Result:
            return await self._ask(viewer, question.admin, answer, await self._cost(viewer, question))

        result: _Result = await self._running.run((viewer, question), work)
        return result

    def _check_units(self, question: UnitsQuestion) -> None:
        if not question.uuids:
            self.check_window(question.window)

    def _admitted(self, question: _Counted) -> _Counted:
        """Check a question, and return it with the most rows that it and the limits allow."""
        check_limits(question)
        if question.mode is Mode.CURRENT:
            self.check_window(question.window)
        return self.limited(question)

    def check_window(self, window: Window) -> None:
        """Raise the API's error for a window that is longer than the longest."""
        check_window(window, self.limits.max_window)

    def limited(self, question: _Limited) -> _Limited:
        """Return the question with the largest row limit that it and the limits allow."""
        limits = [limit for limit in (question.limit, self.limits.rows) if limit is not None]
        return replace(question, limit=min(limits)) if limits else question


@dataclass(slots=True)
class _UsageBegun:
    """A question of usage with known rights, and its answer if the same reader has already computed it."""

    as_admin: bool
    asked: UsageQuestion
    key: Hashable
    answer: Answer | None = None
    trace: QueryTrace = field(default_factory=QueryTrace)


def _with_missing(result: "_Result", missing: tuple[Missing, ...]) -> "_Result":
    """Add to an answer the sources that are missing from it."""
    told: Any = result
    match told if missing else None:
        case Answer() | Suggestions():
            told = replace(told, missing=missing)
        case (Answer() as answer, *others):
            told = replace(answer, missing=missing), *others
    return cast("_Result", told)


def _with_notice(result: "_Result", notice: tuple[str, ...]) -> "_Result":
    """Add notices for the reader of an answer."""
    told: Any = result
    match told:
        case Answer() as answer:
            told = answer.with_warnings(notice)
        case (Answer() as answer, *others):
            told = answer.with_warnings(notice), *others
    return cast("_Result", told)


_Result = TypeVar("_Result")
_Asked = CostedQuestion | DirectoryQuestion | SuggestQuestion

"""Maintains a mirror of a live database: builds it, updates it, and rebuilds it in case of doubt."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import TypeVar

import duckdb
import msgspec

from ceems_grpc.store.columnar.file_version import Version
from ceems_grpc.store.columnar.layout import CannotMirrorError
from ceems_grpc.store.columnar.zone_text import text_of_zone
from ceems_grpc.store.duckdb.files import Mirror, Place, delete_mirror
from ceems_grpc.store.duckdb.fill import FillJob, fill
from ceems_grpc.store.duckdb.settings import MirrorSettings
from ceems_grpc.store.duckdb.source_connection import SourceConnection
from ceems_grpc.store.duckdb.target import OpenMirror
from ceems_grpc.store.errors import StoreError
from ceems_grpc.store.follow.changes import catch_up
from ceems_grpc.store.runtime.cancellation import run_cancellable
from ceems_grpc.store.runtime.query_trace import waiting
from ceems_grpc.store.sqlite.source_rows import PythonRows
from ceems_grpc.store.sqlite.store import SqliteStore
from ceems_grpc.store.sqlite.wal import read_version
from ceems_grpc.store.sqlite.wal_changes import SeenRows

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)
_FAILURES = (CannotMirrorError, StoreError, sqlite3.Error, duckdb.Error, OSError, ValueError)


class Follower:
    """Works in a task of its own from the first `start` until `close`."""

    def __init__(self, live: SqliteStore, settings: MirrorSettings) -> None:
        self._live = live
        self._settings = settings
        self._mirror: Mirror | None = None
        self._place: Place | None = None
        self._source = SourceConnection(live.path)
        self._seen = SeenRows()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._used = 0.0
        self._not_before = 0.0
        self._problem, self._failures = "", 0
        self._refused: Version | None = None
        self._steps = 0
        self._refilling = False
        self._stepped = asyncio.Condition()

    @property
    def mirror(self) -> Mirror | None:
        """The mirror, if there is one. It may be behind the database."""
        return self._mirror

    @property
    def problem(self) -> str:
        """Why the last attempt to build or update the mirror failed; empty if it succeeded."""
        return self._problem

    def start(self) -> None:
        """Start following the database. Called with each question."""
        self._used = time.monotonic()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._wake.set()

    def wake(self) -> None:
        """Check the database now."""
        self._wake.set()

    def discard(self, mirror: Mirror) -> None:
        """Discard a mirror that cannot be read."""
        if self._mirror is mirror:
            self._mirror = None
            mirror.retire(delete=True)

    async def caught_up(self, seconds: float) -> None:
        """Wait for the end of the current or next check of the database, for a limited time; not while filling."""
        if self._mirror is None or self._refilling:
            return
        wanted = self._steps + 1
        self._wake.set()
        with waiting(), suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._stepped:
                await self._stepped.wait_for(lambda: self._steps >= wanted)

    async def settled(self) -> bool:
        """Wait for a check of the database that begins after this call. Return whether the mirror is then current."""
        self.start()
        wanted = self._steps + 2  # the check in progress may have begun before
        async with self._stepped:
            while self._steps < wanted:
                self._wake.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self._stepped.wait()
        version = await asyncio.to_thread(read_version, self._live.path)
        return self._mirror is not None and self._mirror.meta.version == version

    async def close(self) -> None:
        """Stop following. The mirror's file stays for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._mirror is not None:
            self._mirror.retire(delete=False)
            self._mirror = None
        self._source.close()
        if self._place is not None:
            self._place.leave()
            self._place = None

    # The task

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.interval):  # wait_for may swallow a cancellation
                    await self._wake.wait()
            self._wake.clear()
            await self._finish(self._source.close_if_replaced)
            if time.monotonic() - self._used < self._settings.idle and time.monotonic() >= self._not_before:
                try:
                    await self._step()
                    self._problem, self._failures = "", 0
                except _FAILURES as error:
                    self._not_before = time.monotonic() + self._pause()
                    self._problem = detail = error.detail if isinstance(error, StoreError) else str(error)
                    _log.warning("the mirror is not up to date; the database itself answers", extra={"detail": detail})
                except Exception:
                    self._not_before = time.monotonic() + self._pause()
                    self._problem = "following the database failed"
                    _log.exception("following the database failed")
            async with self._stepped:
                self._steps += 1
                self._stepped.notify_all()
            await self._count()  # nobody waits for this

    async def _count(self) -> None:
        if self._mirror is None:
            return
        try:
            await self._finish(self._mirror.count)
        except duckdb.Error as error:
            _log.warning("units are counted by the engine, which takes longer", extra={"detail": str(error)})

    def _pause(self) -> float:
        self._failures += 1
        return min(2.0 ** min(self._failures - 1, 10), self._settings.retry)

    async def _step(self) -> None:
        version = await asyncio.to_thread(read_version, self._live.path)
        if version == self._refused or (self._mirror is not None and self._mirror.meta.version == version):
            return
        async with self._live.read() as reader:  # also fails if there is no database
            zone = reader.zone
        if self._place is None:
            await self._finish(self._open_place)
        await self._finish(self._source.open)
        for _ in range(3):
            if not await self._catch_up(zone):
                self._refilling = True
                try:
                    await self._refill(zone)
                finally:
                    self._refilling = False
            version = await asyncio.to_thread(read_version, self._live.path)
            if self._mirror is not None and self._mirror.meta.version == version:
                return

    async def _catch_up(self, zone: tzinfo) -> bool:
        mirror, rows = self._mirror, self._source.rows
        if mirror is None or rows is None or mirror.meta.layout.zone != text_of_zone(zone):
            return False
        started = time.perf_counter()
        done = await self._finish(partial(self._change, mirror, rows))
        if done:
            self._source.pinned = True
            _log.debug("the mirror caught up", extra={"seconds": round(time.perf_counter() - started, 3)})
        return done

    async def _refill(self, zone: tzinfo) -> None:
        assert self._place is not None  # noqa: S101 - opened before
        building, finished = self._place.new()
        settings = self._settings
        source = self._live.path.absolute()
        job = FillJob(str(source), str(building), text_of_zone(zone), settings.memory_limit)
        started = time.perf_counter()
        try:
            before = await asyncio.to_thread(read_version, source)
            try:
                if before.database is not None and before.database.size > settings.helper_above:
                    await self._fill_by_helper(job)
                else:
                    await self._finish(partial(fill, job))
            except CannotMirrorError:
                self._refused = before
                raise
            mirror = await self._finish(partial(self._put_in_place, building, finished))
        except BaseException:
            await asyncio.shield(asyncio.to_thread(delete_mirror, building))
            raise
        old, self._mirror = self._mirror, mirror
        self._source.pinned = True
        if old is not None:
            await asyncio.to_thread(old.retire, delete=True)
        seconds = round(time.perf_counter() - started, 3)
        _log.info("the mirror was made", extra={"seconds": seconds, "bytes": finished.stat().st_size})

    async def _fill_by_helper(self, job: FillJob) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._settings.helper,
            msgspec.json.encode(job).decode(),
            stdin=asyncio.subprocess.PIPE,  # the process ends when this is closed
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stderr is not None  # noqa: S101 - a pipe
            said = (await process.stderr.read()).decode("utf-8", "replace").strip()
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            if process.stdin is not None:
                process.stdin.close()
        if status == 3:
            raise CannotMirrorError(said)
        if status:
            raise OSError(f"the process that fills the mirror ended with {status}: {said}")

    async def _finish(self, work: Callable[[], _Result]) -> _Result:
        """Run blocking work and wait for its end even if cancelled, because it uses objects that `close` closes."""
        return await run_cancellable(work, self._source.interrupt)

    # In threads

    def _open_place(self) -> None:
        source = self._live.path.absolute()
        failures = []
        for folder in self._settings.folders:
            try:
                place = Place(folder, source)
            except OSError as error:
                failures.append(f"{folder}: {error.strerror or error}")
                continue
            self._place = place
            self._mirror = self._reopen(place, source)
            return
        raise OSError(f"no folder for the mirror can be written ({'; '.join(failures)})")

    def _reopen(self, place: Place, source: Path) -> Mirror | None:
        for path in place.found():
            try:
                mirror = Mirror(path, self._settings.memory_limit, self._settings.threads)
            except (duckdb.Error, OSError, ValueError):
                continue
            if mirror.meta.source == str(source):
                place.tidy(path)
                return mirror
            mirror.retire(delete=True)
        place.tidy(None)
        return None

    def _change(self, mirror: Mirror, rows: PythonRows) -> bool:
        with closing(OpenMirror(mirror)) as target:
            return catch_up(
                target, rows, self._live.path, across_restarts=self._source.pinned, seen=self._seen, duck=target.duck
            )

    def _put_in_place(self, building: Path, finished: Path) -> Mirror:
        building.replace(finished)
        return Mirror(finished, self._settings.memory_limit, self._settings.threads)

"""Live channels: one frame at the start, then one after each change of the database.

Grafana runs a channel once and sends its frames to all subscribers. A channel therefore belongs to one user. Its path
is ``units/running/KEY`` or ``stats/KEY``, where KEY is the `channel_key` of the login; a suffix distinguishes channels
of one user. A channel without a key belongs to its first subscriber as long as it runs; others are refused.
"""

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from ceems_grpc.domain.errors import ErrorType, QuestionError, no_user
from ceems_grpc.domain.questions.model import StatsQuestion, UnitsQuestion, Viewer
from ceems_grpc.domain.questions.window import Window, make_window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.grafana.data.frame import Frame
from ceems_grpc.panels.frames import table_frame
from ceems_grpc.panels.query_model import QueryType, question_of, read_query
from ceems_grpc.store.runtime.cancellation import run_cancellable
from ceems_grpc.telemetry.questions import STREAMS

_POLL = 2.0  # seconds between two polls of the database's version
_HOLD = 15.0  # seconds for which a channel stays with its owner before it runs, and between two polls
_CHANNELS: dict[str, QueryType] = {"units/running": "units", "stats": "stats"}


def channel_key(login: str) -> str:
    """Encode a login in characters that the path of a channel may have."""
    return urlsafe_b64encode(login.encode()).decode().rstrip("=")


class Live:
    """The channels of one data source."""

    def __init__(self, ceems: Ceems, *, poll: float = _POLL, clock: Callable[[], float] = time.monotonic) -> None:
        self._ceems = ceems
        self._poll = poll
        self._clock = clock
        self._owners: dict[str, tuple[str, float]] = {}

    async def subscribe(self, viewer: Viewer | None, path: str, data: bytes) -> Frame:
        """Return the first frame to a viewer who may subscribe. Raises `QuestionError` (401, 403, 404) for others."""
        self._claim(viewer, path)
        return await self._frame(viewer, path, data)

    async def run(self, viewer: Viewer | None, path: str, data: bytes) -> AsyncIterator[Frame]:
        """Yield a frame now and after each change of the database. Rights are checked again for each frame."""
        self._claim(viewer, path)
        STREAMS.inc()
        try:
            while True:
                version = await self._ceems.store.version()
                yield await self._frame(viewer, path, data)
                while version == await self._ceems.store.version():
                    await asyncio.sleep(self._poll)
                    self._claim(viewer, path)
        finally:
            STREAMS.dec()
            self._owners.pop(path, None)

    def _claim(self, viewer: Viewer | None, path: str) -> None:
        """Make the viewer the owner of the channel for `_HOLD` seconds, or refuse."""
        if viewer is None:
            raise no_user()
        channel, rest = _split(path)
        now = self._clock()
        self._owners = {key: owner for key, owner in self._owners.items() if owner[1] > now}
        key = rest.split("/")[0]
        owner = self._owners.get(path)
        if (key and key != channel_key(viewer.login)) or (owner and owner[0] != viewer.login):
            raise QuestionError(ErrorType.FORBIDDEN, f"this channel is somebody else's; use {channel}/KEY of your own")
        self._owners[path] = (viewer.login, now + _HOLD)

    async def _frame(self, viewer: Viewer | None, path: str, data: bytes) -> Frame:
        kind = _CHANNELS[_split(path)[0]]
        model, _ = read_query(b"{}" if data.strip() in {b"", b"null"} else data)
        now = self._ceems.now()
        question = question_of(model, kind, make_window(None, None, now))
        if isinstance(question, UnitsQuestion):
            # In an empty window no unit has ended, so only running units are left.
            answer = await self._ceems.units(viewer, replace(question, window=Window(now + 1, now), running=True))
        else:
            assert isinstance(question, StatsQuestion)  # noqa: S101 - there are two kinds of channels
            answer = await self._ceems.stats(viewer, question)
        return await run_cancellable(lambda: table_frame(kind, answer))


def _split(path: str) -> tuple[str, str]:
    for channel in _CHANNELS:
        if path == channel or path.startswith(channel + "/"):
            return channel, path[len(channel) + 1 :]
    raise QuestionError(ErrorType.NOT_FOUND, f"there is no channel '{path[:100]}': use units/running or stats")

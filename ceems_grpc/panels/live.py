"""Live channels: one frame at the start, then one after each change of the database.

Grafana runs a channel once and sends its frames to all subscribers. A channel therefore belongs to one user. Its path
is ``units/running/KEY`` or ``stats/KEY``, where KEY is the `channel_key` of the login. A suffix distinguishes several
channels of one user. A channel without a key belongs to its first subscriber until the plugin ends; others are refused.
"""

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Hashable
from dataclasses import replace

from ceems_grpc.domain.errors import ErrorType, QuestionError, no_user
from ceems_grpc.domain.questions.model import StatsQuestion, UnitsQuestion, Viewer
from ceems_grpc.domain.questions.window import Window, make_window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.domain.single_flight import SingleFlight
from ceems_grpc.grafana.data.frame import Frame
from ceems_grpc.panels.display_names import Naming, with_display_names
from ceems_grpc.panels.frames import table_frame
from ceems_grpc.panels.live_rights import LiveRights, Scope
from ceems_grpc.panels.query_keys import unknown_keys
from ceems_grpc.panels.query_model import QueryType, question_of, read_query
from ceems_grpc.store.runtime.cancellation import run_cancellable
from ceems_grpc.telemetry.questions import STREAMS

_POLL = 2.0  # seconds between two polls of the database's version
_CHANNELS: dict[str, QueryType] = {"units/running": "units", "stats": "stats"}


def channel_key(login: str) -> str:
    """Encode a login in characters that the path of a channel may have."""
    return urlsafe_b64encode(login.encode()).decode().rstrip("=")


class Live:
    """The channels of one data source. ``scope`` names it in the process-wide ``rights``."""

    def __init__(self, ceems: Ceems, rights: LiveRights, scope: Scope = "", *, poll: float = _POLL) -> None:
        self._ceems = ceems
        self._rights = rights
        self._scope = scope
        self._poll = poll
        self._polling: SingleFlight[Hashable] = SingleFlight()
        self._version: tuple[float, Hashable] = (float("-inf"), None)

    async def subscribe(self, viewer: Viewer | None, path: str, data: bytes) -> Frame:
        """Return the first frame to a viewer who may subscribe. Raises `QuestionError` (401, 403, 404) for others."""
        owner = self._claim(viewer, path)
        self._rights.check_number(self._scope, owner, path)
        return await self._frame(owner, path, data)

    async def run(self, viewer: Viewer | None, path: str, data: bytes) -> AsyncIterator[Frame]:
        """Yield a frame now and after each change of the database or of the viewer's role.

        Rights are checked again for each frame, and the role at each poll; see `LiveRights.present`.
        """
        owner = self._claim(viewer, path)
        STREAMS.inc()
        try:
            with self._rights.running(self._scope, owner, path):
                while True:
                    version = await self._read_version()
                    shown = self._rights.present(self._scope, owner)
                    yield await self._frame(shown, path, data)
                    changed = False
                    while not changed:
                        await asyncio.sleep(self._poll)
                        present = self._rights.present(self._scope, owner)
                        changed = present != shown or version != await self._polled_version()
        finally:
            STREAMS.dec()

    def _claim(self, viewer: Viewer | None, path: str) -> Viewer:
        """Return the viewer if the channel is theirs, or refuse."""
        if viewer is None:
            raise no_user()
        channel, rest = _split(path)
        if not rest:
            self._rights.own(self._scope, channel, viewer)
        elif rest.split("/")[0] != channel_key(viewer.login):
            message = (
                f"this channel belongs to another user; use {channel}/KEY, where KEY is your login in URL-safe base64 "
                "without padding"
            )
            raise QuestionError(ErrorType.FORBIDDEN, message)
        return viewer

    async def _read_version(self) -> Hashable:
        version: Hashable = await self._polling.run("version", self._ceems.store.version)
        self._version = (time.monotonic(), version)
        return version

    async def _polled_version(self) -> Hashable:
        """Return the version of the database. All channels together read it at most twice per poll."""
        read, version = self._version
        return version if time.monotonic() - read < self._poll / 2 else await self._read_version()

    async def _frame(self, viewer: Viewer | None, path: str, data: bytes) -> Frame:
        kind = _CHANNELS[_split(path)[0]]
        json = b"{}" if data.strip() in {b"", b"null"} else data
        model, _ = read_query(json)
        now = self._ceems.now()
        question = question_of(model, kind, make_window(None, None, now))
        if isinstance(question, UnitsQuestion):
            # In an empty window no unit has ended, so only running units are left.
            answer = await self._ceems.units(viewer, replace(question, window=Window(now + 1, now), running=True))
        else:
            assert isinstance(question, StatsQuestion)  # noqa: S101 - there are two kinds of channels
            answer = await self._ceems.stats(viewer, question)
        told = answer.with_warnings(unknown_keys(json))
        naming = Naming(model.legend_or_default)
        (frame,) = await run_cancellable(lambda: with_display_names([table_frame(kind, told)], told, naming))
        return frame


def _split(path: str) -> tuple[str, str]:
    for channel in _CHANNELS:
        if path == channel or path.startswith(channel + "/"):
            return channel, path[len(channel) + 1 :]
    raise QuestionError(ErrorType.NOT_FOUND, f"there is no channel '{path[:100]}': use units/running or stats")

"""Who may use a live channel, for the lifetime of the process: channel owners, confirmed roles, numbers of runs.

Grafana sends the role of a user with each call. A run of a channel keeps the role from its start, even if Grafana
starts it again hours later. A role that makes an administrator is therefore trusted only for a minute after the last
call that confirmed it.
"""

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from cachetools import LRUCache

from ceems_grpc.domain.errors import ErrorType, QuestionError
from ceems_grpc.domain.questions.model import Viewer

BELIEVED = 60.0  # seconds
MOST_RUNS = 30  # of one user and data source
_MOST_ROLES = 100_000

Scope = Hashable
"""Names a configured data source: its organization and uid."""


@dataclass(frozen=True, slots=True)
class _Role:
    is_admin: bool
    seen: float  # of the monotonic clock


class LiveRights:
    """The rights to channels. Use it from one event loop. It outlives data sources, which changed settings replace."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._owners: dict[tuple[Scope, str], str] = {}
        self._roles: LRUCache[tuple[Scope, str], _Role] = LRUCache(_MOST_ROLES)
        self._runs: dict[tuple[Scope, str], Counter[str]] = {}

    def saw(self, scope: Scope, viewer: Viewer | None) -> None:
        """Record the current role of the user of a call. Not for runs, which have the role from their start."""
        if viewer is not None:
            self._roles[scope, viewer.login] = _Role(viewer.admin_by_role, self._clock())

    def own(self, scope: Scope, channel: str, viewer: Viewer) -> None:
        """Make the viewer the lasting owner of a channel that names none. Raises an error (403) if it has another."""
        if self._owners.setdefault((scope, channel), viewer.login) != viewer.login:
            raise QuestionError(ErrorType.FORBIDDEN, "this channel belongs to another user")

    def present(self, scope: Scope, viewer: Viewer) -> Viewer:
        """Return the viewer of a run with the role of the newest call. Raises an error (403) if none confirmed it."""
        if not viewer.admin_by_role:
            return viewer
        now = self._clock()
        # Without any call since the plugin's start, the run itself starts the minute.
        role = self._roles.setdefault((scope, viewer.login), _Role(is_admin=True, seen=now))
        if not role.is_admin:
            return replace(viewer, admin_by_role=False)
        if now - role.seen > BELIEVED:
            message = "Grafana has not confirmed the user's role for a minute; reload the dashboard"
            raise QuestionError(ErrorType.FORBIDDEN, message)
        return viewer

    def check_number(self, scope: Scope, viewer: Viewer, path: str) -> None:
        """Raise an error (503) if one more running channel would exceed the viewer's limit."""
        runs = self._runs.get((scope, viewer.login), Counter())
        if not runs[path] and runs.total() >= MOST_RUNS:
            message = f"you have {MOST_RUNS} live channels already; close some live panels"
            raise QuestionError(ErrorType.UNAVAILABLE, message)

    @contextmanager
    def running(self, scope: Scope, viewer: Viewer, path: str) -> Iterator[None]:
        """Count a run for the duration of the block."""
        self.check_number(scope, viewer, path)
        runs = self._runs.setdefault((scope, viewer.login), Counter())
        runs[path] += 1
        try:
            yield
        finally:
            runs[path] -= 1
            if not +runs:
                self._runs.pop((scope, viewer.login), None)

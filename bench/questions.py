"""The measured queries, for the plugin and as plain SQL."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bench.baseline import METRICS, Baseline
from bench.floor import Floor
from tests.support.plugin.ceems import CeemsPlugin, read_frame

ZONE = ZoneInfo("Europe/Paris")
DAY = 86_400
SEVEN = METRICS[:7]
_VALUE = ("total_cpu_energy_usage_kwh", "total")  # whose distribution is asked for
_STAMP, _MOMENT = "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"


@dataclass
class Got:
    """An answer: frames, or the parts of a body, which Grafana passes on one at a time."""

    frames: tuple[bytes, ...] = ()
    parts: tuple[bytes, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(map(len, (*self.frames, *self.parts)))

    @property
    def rows(self) -> int:
        # Decoding them is the panel's work, so it is not measured.
        return sum(int(read_frame(frame).num_rows) for frame in self.frames) + b"".join(self.parts).count(b'"uuid":')


@dataclass
class Question:
    """A query in three forms; each gets the number of the repetition, so that windows differ.

    ``goal``: how many times faster than the plain SQL it should be; 0 means at most 5 ms slower. ``floor``: the bare
    statement on the mirror, without checks, frames and gRPC; None if the plain SQL is that statement.
    """

    name: str
    goal: float
    plugin: Callable[[CeemsPlugin, int], Awaitable[Got]]
    baseline: Callable[[Baseline, int], int]
    floor: Callable[[Floor, int], int] | None = None


def questions(now: int, user: str) -> list[Question]:
    """Return the queries for a database that ends at ``now`` (seconds since 1970) and contains this user."""

    def window(days: int, repeat: int) -> tuple[int, int]:
        """Return a window of this many days, slightly earlier with each repetition."""
        end = now // 900 * 900 - repeat * 4_500
        return end - days * DAY, end

    def usage(days: int, metrics: tuple[str, ...]) -> Question:
        async def ask(ceems: CeemsPlugin, repeat: int) -> Got:
            model = {"queryType": "usage", "admin": True, "groupBy": ["cluster_id"]}
            model["fields"] = ["cluster_id", "username", "project", "num_units", *metrics]
            return await query(ceems, "admin", model, window(days, repeat))

        return Question(
            f"usage, {days} days, everybody, {'all' if metrics == METRICS else len(metrics)} metrics",
            100,
            ask,
            lambda base, repeat: base.usage(metrics, _local(window(days, repeat), _STAMP)),
            lambda floor, repeat: floor.usage(metrics, window(days, repeat)),
        )

    def distribution(days: int) -> Question:
        async def ask(ceems: CeemsPlugin, repeat: int) -> Got:
            model = {"queryType": "distribution", "admin": True, "of": ".".join(_VALUE), "groupBy": ["cluster_id"]}
            return await query(ceems, "admin", model, window(days, repeat))

        return Question(
            f"distribution, {days} days, everybody, by cluster",
            20,
            ask,
            lambda base, repeat: base.distribution(*_VALUE, _local(window(days, repeat), _STAMP)),
            lambda floor, repeat: floor.distribution(*_VALUE, window(days, repeat)),
        )

    async def units_frames(ceems: CeemsPlugin, repeat: int) -> Got:
        return await query(ceems, "admin", {"queryType": "units", "admin": True}, window(30, repeat))

    async def units_json(ceems: CeemsPlugin, repeat: int) -> Got:
        first, last = window(30, repeat)
        answer = await ceems.resource("admin", "units/admin", f"from={first}&to={last}")
        return Got(parts=answer.parts)

    async def stats(ceems: CeemsPlugin, repeat: int) -> Got:
        return await query(ceems, "admin", {"queryType": "stats", "admin": True}, window(30, repeat))

    async def own(ceems: CeemsPlugin, repeat: int) -> Got:
        return await query(ceems, user, {"queryType": "units"}, window(1, repeat))

    def plain_units(base: Baseline, repeat: int) -> int:
        return base.units(_local(window(30, repeat), _MOMENT))

    def bare_units(floor: Floor, repeat: int) -> int:
        return floor.units(window(30, repeat))

    return [
        usage(30, SEVEN),
        usage(365, SEVEN),
        usage(30, METRICS),
        distribution(30),
        distribution(365),
        Question("units, 30 days, to frames", 10, units_frames, plain_units, bare_units),
        Question("units, 30 days, to JSON", 10, units_json, plain_units, bare_units),
        Question(
            "stats, 30 days",
            100,
            stats,
            lambda base, repeat: base.stats(_local(window(30, repeat), _MOMENT)),
            lambda floor, repeat: floor.stats(window(30, repeat)),
        ),
        Question("one user's last day", 0, own, lambda base, repeat: base.own_day(user, window(1, repeat))),
    ]


def _local(window: tuple[int, int], layout: str) -> tuple[str, str]:
    first, last = (datetime.fromtimestamp(moment, ZONE).strftime(layout) for moment in window)
    return first, last


async def query(ceems: CeemsPlugin, login: str, model: dict[str, Any], window: tuple[int, int]) -> Got:
    """Run a query as a user over a window (seconds since 1970). Raises RuntimeError if it fails."""
    response = (await ceems.query(login, {"A": model}, (window[0] * 1000, window[1] * 1000)))["A"]
    if response.error:
        raise RuntimeError(response.error)
    return Got(frames=tuple(response.frames))

"""The queries that are measured over several shards."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.questions import DAY, SEVEN, Got, query
from tests.support.plugin.ceems import CeemsPlugin


@dataclass(frozen=True)
class ScaleQuestion:
    """A query; ``plugin`` gets the number of the repetition, so that windows differ.

    ``summed``: the sums per hour and day can answer it, so it is also measured without them.
    """

    name: str
    plugin: Callable[[CeemsPlugin, int], Awaitable[Got]]
    summed: bool = False


def scale_questions(now: int, user: str) -> list[ScaleQuestion]:
    """Return the queries for a database that ends at ``now`` (seconds since 1970) and contains this user."""

    def window(days: int, repeat: int) -> tuple[int, int]:
        # All windows differ, and none begins or ends on the hour, so the sums never suffice.
        end = now - repeat * 4_507
        return end - days * DAY, end

    def usage(days: int) -> ScaleQuestion:
        async def ask(ceems: CeemsPlugin, repeat: int) -> Got:
            model = {"queryType": "usage", "admin": True, "groupBy": ["cluster_id"]}
            model["fields"] = ["cluster_id", "username", "project", "num_units", *SEVEN]
            return await query(ceems, "admin", model, window(days, repeat))

        return ScaleQuestion(f"usage, {days} days, everybody, {len(SEVEN)} metrics", ask, summed=True)

    async def units(ceems: CeemsPlugin, repeat: int) -> Got:
        return await query(ceems, "admin", {"queryType": "units", "admin": True}, window(1, repeat))

    async def stats(ceems: CeemsPlugin, repeat: int) -> Got:
        return await query(ceems, "admin", {"queryType": "stats", "admin": True}, window(30, repeat))

    async def own(ceems: CeemsPlugin, repeat: int) -> Got:
        return await query(ceems, user, {"queryType": "units"}, window(1, repeat))

    return [
        usage(30),
        usage(365),
        ScaleQuestion("units of a day, everybody's, to frames", units),
        ScaleQuestion("stats, 30 days", stats),
        ScaleQuestion("one user's last day", own),
    ]

"""The questions that are measured over several shards, as the plugin is asked."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.questions import DAY, SEVEN, Got, query
from tests.support.plugin.ceems import CeemsPlugin


@dataclass(frozen=True)
class ScaleQuestion:
    """A question; ``plugin`` gets the number of the repeat, by which windows differ.

    ``summed``: the sums per hour and day can answer it, so it is also asked without them.
    """

    name: str
    plugin: Callable[[CeemsPlugin, int], Awaitable[Got]]
    summed: bool = False


def scale_questions(now: int, user: str) -> list[ScaleQuestion]:
    """Return the questions of a database that ends now (seconds since 1970), and has this user."""

    def window(days: int, repeat: int) -> tuple[int, int]:
        # No two are alike, and none begins or ends with an hour: the sums do not suffice.
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

"""A whole data source for Grafana: each query draws a random walk. docs/python-sdk.md explains it."""

import asyncio
import json
import random
import sys
from collections.abc import Sequence
from itertools import accumulate

import pyarrow as pa

from ceems_grpc import grafana


class RandomWalk(grafana.DataSource):
    """One configured data source; ``step`` is the longest step of its walks."""

    def __init__(self, step: float) -> None:
        self._step = step

    async def query(self, context: grafana.PluginContext, query: grafana.DataQuery) -> Sequence[grafana.Frame]:
        """Draw one walk over the panel's time range. The query model is ``{"seed": number}``."""
        seed = json.loads(query.json).get("seed", 0)
        if not isinstance(seed, int):
            raise grafana.PluginError("The seed must be a whole number.", status=400)
        count, start = query.max_data_points or 100, query.time_range.start_ms
        step_ms = (query.time_range.end_ms - start) / count
        times = pa.array([start + round(step_ms * point) for point in range(count)], pa.timestamp("ms", "UTC"))
        chance = random.Random(seed)
        walk = list(accumulate(chance.uniform(-self._step, self._step) for _ in range(count)))
        values = grafana.Field("walk", pa.array(walk), {"seed": str(seed)}, grafana.FieldConfig(unit="watt"))
        meta = grafana.FrameMeta(type=grafana.FrameType.TIMESERIES_WIDE)
        return [grafana.Frame("walk", [grafana.Field("time", times), values], meta)]

    async def check_health(self, context: grafana.PluginContext) -> grafana.HealthResult:
        """Tell "Save & test" that there is nothing that could fail."""
        return grafana.HealthResult(grafana.HealthStatus.OK, f"Ready to walk in steps of {self._step:g}.")


async def create(context: grafana.PluginContext) -> RandomWalk:
    """Make a data source from its settings, ``{"step": number}``."""
    settings = json.loads(context.data_source.json_data or "{}") if context.data_source else {}
    return RandomWalk(settings.get("step", 1.0))


if __name__ == "__main__":
    sys.exit(asyncio.run(grafana.serve_plugin(create, name="Random walk", version="1.0.0")))

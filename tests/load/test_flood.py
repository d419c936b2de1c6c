"""More questions than may wait: some are refused at once, none hangs, and small ones are still answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.load.mix import PATIENCE, make_database
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin, read_frame

DAY = 86_400_000  # ms
REFUSED = 'ceems_queue_refused_total{lane="large"}'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("flood") / "ceems.db"
    return path, make_database(path, 20_000)


@asynccontextmanager
async def without_deadlines(path: Path) -> AsyncIterator[CeemsPlugin]:
    """Run the plugin without a mirror, with timeouts that are long enough for a busy machine."""
    async with ceems_plugin(path, mirror={"mode": "off"}) as ceems:
        ceems.plugin.patience = PATIENCE
        yield ceems


async def ask(ceems: CeemsPlugin, login: str, model: dict[str, Any], end: int, days: int) -> pb.DataResponse:
    return (await ceems.query(login, {"A": model}, (end - days * DAY, end)))["A"]


def year_of_all(ceems: CeemsPlugin, end: int) -> "asyncio.Task[pb.DataResponse]":
    return asyncio.create_task(ask(ceems, "admin", {"queryType": "units", "admin": True}, end, 400))


async def counted(ceems: CeemsPlugin, name: str) -> float:
    answer = await ceems.plugin.call("Diagnostics.CollectMetrics", pb.CollectMetricsRequest())
    lines = answer.metrics.prometheus.decode().splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


async def test_a_flood_is_refused_and_small_questions_pass_it_by(site: tuple[Path, str]) -> None:
    path, user = site
    now = int(path.stat().st_mtime * 1000)
    async with without_deadlines(path) as ceems:
        # All are different, since equal questions would be answered together.
        flood = [year_of_all(ceems, now - 1000 * number) for number in range(100)]
        async with asyncio.timeout(PATIENCE):
            while await counted(ceems, REFUSED) < 20:  # noqa: ASYNC110 - another process makes it so
                await asyncio.sleep(0.01)
        small = await ask(ceems, user, {"queryType": "units"}, now, 1)
        assert not small.error
        assert small.frames
        assert not all(task.done() for task in flood), "it came in between"
        refused = [task.result() for task in flood if task.done() and task.result().error]
        assert refused
        for response in refused:
            assert response.status == 503
            assert response.errorSource == "downstream"
            assert "64 large questions wait for it already; ask again in a moment" in response.error
            assert not response.frames
        answer = await ceems.resource("admin", "units/admin", f"from={now // 1000 - 400 * 86_400}&to={now // 1000}")
        assert (answer.status, answer.json["errorType"]) == (503, "unavailable")
        # Cancelled questions make room: the next one is answered although nearly a hundred had come before.
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        assert not (await year_of_all(ceems, now - 500)).error
        assert await counted(ceems, 'ceems_queue_waiting{lane="large"}') == 0


async def test_equal_questions_at_once_are_one_in_the_queue(site: tuple[Path, str]) -> None:
    path, _ = site
    now = int(path.stat().st_mtime * 1000)
    async with without_deadlines(path) as ceems:
        answers = await asyncio.gather(*(year_of_all(ceems, now) for _ in range(100)))
        assert {answer.error for answer in answers} == {""}
        assert {read_frame(answer.frames[0]).num_rows for answer in answers} != {0}
        assert await counted(ceems, 'ceems_queue_wait_seconds_count{lane="large"}') == 1, "one turn was enough"

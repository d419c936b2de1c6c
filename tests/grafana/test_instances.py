"""Live data source objects and their settings."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.grafana.backend.context import Caller, DataSourceSettings, PluginContext
from ceems_grpc.grafana.backend.datasource import DataSource
from ceems_grpc.grafana.backend.errors import PluginError
from ceems_grpc.grafana.serve.instances import InstanceManager

START = datetime(2026, 1, 1, tzinfo=UTC)


def context(uid: str = "a", version: int = 0, *, org: int = 1, json_data: bytes = b"{}") -> PluginContext:
    settings = DataSourceSettings(
        id=1,
        uid=uid,
        name="n",
        url="",
        user="",
        database="",
        basic_auth_enabled=False,
        basic_auth_user="",
        json_data=json_data,
        secure_json={},
        updated=START + timedelta(seconds=version),
        api_version="",
    )
    return PluginContext(org, "", "p", "", "", None, Caller.GRAFANA, settings, {}, "")


class Made:
    """Stands in for a data source; records when it was closed and whether it was in use at that time."""

    def __init__(self, settings: DataSourceSettings) -> None:
        self.settings = settings
        self.in_use = 0
        self.closed = 0
        self.closed_in_use = False

    async def close(self) -> None:
        self.closed += 1
        self.closed_in_use |= self.in_use > 0


class Maker:
    """A factory that records what it made, waits for `gate` and fails as often as `failures` says."""

    def __init__(self, failures: int = 0) -> None:
        self.made: list[Made] = []
        self.calls = 0
        self.failures = failures
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, asked: PluginContext) -> DataSource:
        self.calls += 1
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise PluginError("bad settings", status=400)
        assert asked.data_source
        self.made.append(Made(asked.data_source))
        return cast("DataSource", self.made[-1])


async def use(manager: InstanceManager, asked: PluginContext) -> Any:
    async with manager.get(asked) as datasource:
        return datasource


async def test_an_object_is_made_once_however_many_ask() -> None:
    maker = Maker()
    maker.gate.clear()
    manager = InstanceManager(maker)
    waiting = [asyncio.create_task(use(manager, context())) for _ in range(10)]
    await asyncio.sleep(0)
    maker.gate.set()
    assert len(set(await asyncio.gather(*waiting))) == 1
    assert await use(manager, context()) is maker.made[0]
    assert maker.calls == 1


async def test_data_sources_and_organizations_have_their_own() -> None:
    maker = Maker()
    manager = InstanceManager(maker)
    asked = [context("a"), context("b"), context("a", org=2)]
    assert len({await use(manager, one) for one in asked}) == 3


@pytest.mark.parametrize("changed", [context(version=1), context(json_data=b'{"path":1}')])
async def test_changed_settings_replace_the_object_and_close_the_old_one_after_its_last_use(
    changed: PluginContext,
) -> None:
    manager = InstanceManager(Maker())
    async with manager.get(context()) as first, manager.get(context()):
        old = cast("Any", first)
        assert await use(manager, changed) is not old
        await asyncio.sleep(0)
        assert not old.closed
    await manager.close()
    assert old.closed == 1


async def test_a_late_request_with_older_settings_does_not_bring_them_back() -> None:
    maker = Maker()
    manager = InstanceManager(maker)
    new = await use(manager, context(version=2))
    assert await use(manager, context(version=1)) is new
    assert maker.calls == 1


async def test_settings_of_a_clock_that_was_set_back_are_taken_when_late_requests_are_over() -> None:
    maker = Maker()
    manager = InstanceManager(maker, late=0.02)
    ahead = await use(manager, context(version=2))
    await asyncio.sleep(0.03)
    assert await use(manager, context(version=1)) is not ahead
    assert maker.calls == 2


async def test_an_object_that_nobody_asks_is_closed() -> None:
    maker = Maker()
    manager = InstanceManager(maker, idle=0.0)
    await use(manager, context("a"))
    async with manager.get(context("b")):
        await use(manager, context("c"))
        await asyncio.sleep(0.01)
        await use(manager, context("c"))
        assert [made.closed for made in maker.made] == [1, 0, 0], "only instances out of use"
    again = await use(manager, context("a"))
    assert again is maker.made[3]
    await manager.close()
    assert [made.closed for made in maker.made] == [1, 1, 1, 1]


async def test_an_object_that_was_asked_of_late_stays() -> None:
    maker = Maker()
    manager = InstanceManager(maker, idle=3600.0)
    for uid in "aba":
        await use(manager, context(uid))
    await asyncio.sleep(0.01)
    assert [made.closed for made in maker.made] == [0, 0]
    await manager.close()


async def test_a_failed_build_is_told_to_all_and_tried_again() -> None:
    maker = Maker(failures=1)
    manager = InstanceManager(maker)
    results = await asyncio.gather(*(use(manager, context()) for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["bad settings"] * 3
    assert await use(manager, context()) is maker.made[0]
    assert maker.calls == 2


async def test_an_asker_who_leaves_does_not_take_the_object_from_the_others() -> None:
    maker = Maker()
    maker.gate.clear()
    manager = InstanceManager(maker)
    leaving, staying = (asyncio.create_task(use(manager, context())) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    maker.gate.set()
    assert await staying is maker.made[0]
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_closing_waits_for_use_and_refuses_more() -> None:
    maker = Maker()
    manager = InstanceManager(maker)
    async with manager.get(context()):
        closing = asyncio.create_task(manager.close())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="stopping"):
            await use(manager, context())
        assert [made.closed for made in maker.made] == [0]
    await closing
    assert [made.closed for made in maker.made] == [1]


async def test_an_object_that_fails_to_close_does_not_keep_the_others_open() -> None:
    class Stubborn(Made):
        async def close(self) -> None:
            await super().close()
            raise OSError("busy")

    made: list[Made] = []

    async def make(asked: PluginContext) -> DataSource:
        assert asked.data_source
        made.append((Made if made else Stubborn)(asked.data_source))
        return cast("DataSource", made[-1])

    manager = InstanceManager(make)
    await use(manager, context("a"))
    await use(manager, context("b"))
    await manager.close()
    assert [one.closed for one in made] == [1, 1]


@given(
    asked=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 3), st.booleans()), min_size=1, max_size=12
    )
)
def test_whatever_the_order_nobody_gets_a_closed_object_or_older_settings(
    asked: list[tuple[str, int, int, bool]],
) -> None:
    async def run() -> None:
        maker = Maker(failures=1)
        manager = InstanceManager(maker)

        async def one(uid: str, version: int, rest: int, leave: bool) -> None:
            try:
                async with manager.get(context(uid, version)) as datasource:
                    made = cast("Any", datasource)
                    made.in_use += 1
                    assert not made.closed
                    assert made.settings.uid == uid
                    assert made.settings.updated >= START + timedelta(seconds=version)
                    for _ in range(rest):
                        await asyncio.sleep(0)
                    assert not made.closed
                    made.in_use -= 1
                    if leave:
                        raise LookupError
            except (PluginError, LookupError):
                pass

        await asyncio.gather(*(one(*ask) for ask in asked))
        await manager.close()
        assert all(made.closed == 1 and not made.closed_in_use for made in maker.made)

    asyncio.run(run())

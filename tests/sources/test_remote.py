"""Databases of other hosts, each behind a real `ceems-grpc server`."""

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from ceems_grpc.store.errors import StoreBusyError, StoreError, StoreMissingError, StorePermissionError
from ceems_grpc.store.plan import (
    ALWAYS,
    Aggregate,
    AllKeys,
    Count,
    Distinct,
    Histogram,
    In,
    Key,
    KeyScan,
    Moment,
    Order,
    RanWithin,
    Scan,
    Spread,
    Sum,
    Table,
)
from ceems_grpc.store.remote.endpoint import Endpoint
from ceems_grpc.store.remote.protocol import PROTOCOL
from ceems_grpc.store.remote.store import RemoteStore
from ceems_grpc.store.sqlite.store import SqliteStore
from tests.sources.two_sites import ENERGY, WINDOW, Several, write_north_and_south
from tests.support.bridge_servers import Files, Server, serving
from tests.support.compare import check_same
from tests.support.databases import DAY, NOON, PARIS
from tests.support.plans import Plan, ask
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import error_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

_KEY = Key(ENERGY, "total")
_RAN = RanWithin(NOON - DAY, NOON)
PLANS: tuple[Plan, ...] = (
    Scan(Table.UNITS, ("cluster_id", "uuid", AllKeys(ENERGY), AllKeys("tags", numeric=False)), order=(Order("uuid"),)),
    Scan(Table.UNITS, ("uuid", "started_at_ts"), order=(Order("uuid", descending=True),), limit=2),
    Aggregate(Table.UNITS, ("username",), (Count("n"), Sum("kwh", _KEY))),
    Aggregate(Table.DAILY_USAGE, ("cluster_id",), (Sum("n", "num_units"),), day=True),
    Aggregate(Table.UNITS, ("project",), (Sum("kwh", _KEY),), _RAN, prorated=_RAN),
    Spread(("project",), (Count("n"), Sum("kwh", _KEY)), ALWAYS, (0, NOON), NOON + DAY),
    Histogram(("project",), _KEY, (0.0, 0.5, 2.0), ALWAYS, (0, NOON), Moment.RAN),
    KeyScan(Table.UNITS, (ENERGY, "tags")),
    Distinct(Table.PROJECTS, ("cluster_id", "name")),
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("server"))


@pytest.fixture
def sites(tmp_path: Path) -> tuple[Path, Path]:
    return write_north_and_south(tmp_path)


def endpoint(keys: Files, server: Server) -> Endpoint:
    return Endpoint(f"localhost:{server.port}", token=keys.token, ca_cert=keys.authority.certificate)


def over_north_and(plugin: Plugin, north: Path, keys: Files, port: int, **settings: Any) -> Several:
    sources = [{"name": "north", "path": str(north)}, {"name": "south", "address": f"localhost:{port}"}]
    secrets = {"south.token": keys.token, "south.caCert": keys.authority.certificate}
    return Several(plugin, {"sources": sources, "sourceTimeout": "60s", **settings}, secrets)


def arguments(database: Path, keys: Files) -> list[str]:
    return ["--database", str(database), *keys.tls, *keys.tokens, "--timezone", "Europe/Paris"]


async def test_a_server_answers_plans_as_the_file_does(sites: tuple[Path, Path], keys: Files) -> None:
    live = SqliteStore(sites[1], zone=PARIS)
    async with serving(*arguments(sites[1], keys)) as server:
        remote = RemoteStore(endpoint(keys, server))
        async with live.read() as one, remote.read() as other:
            assert str(other.zone) == str(one.zone)
            for table in Table:
                for column in (None, "name", "users", "total_cpu_energy_usage_kwh", "nonsense"):
                    assert other.has(table, column) == one.has(table, column)
            for plan in PLANS:
                check_same(plan, await ask(other, plan), await ask(one, plan))
            scan = Scan(Table.UNITS, ("uuid", "username"), order=(Order("uuid"),))
            for wanted in (scan, msgspec.structs.replace(scan, limit=0)):
                got = [
                    pa.Table.from_batches([batch async for batch in reader.batches(wanted)]) for reader in (other, one)
                ]
                check_same(wanted, *got)
        facts, wanted_facts = await remote.facts(), await live.facts()
        assert replace(facts, zone_guessed=True) == replace(wanted_facts, zone_guessed=True)
        version = await remote.version()
        assert await remote.version() == version
        await asyncio.to_thread(write_more, sites[1])
        assert await remote.version() != version
        await remote.close()
    await live.close()


def write_more(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE units SET elapsed = '1'")
        connection.commit()


async def test_one_reader_has_one_moment(sites: tuple[Path, Path], keys: Files) -> None:
    plan = Distinct(Table.UNITS, ("elapsed",))
    async with serving(*arguments(sites[1], keys)) as server:
        remote = RemoteStore(endpoint(keys, server))
        async with remote.read() as reader:
            before = await reader.distinct(plan)
            await asyncio.to_thread(write_more, sites[1])
            assert await reader.distinct(plan) == before
        async with remote.read() as reader:
            assert (await reader.distinct(plan)).to_pylist() == [{"elapsed": "1"}]
        await remote.close()


async def test_a_reader_that_is_left_is_closed(sites: tuple[Path, Path], keys: Files) -> None:
    """Also if rows were not read to the end: the server can open as many readers again afterwards."""
    async with serving(*arguments(sites[1], keys)) as server:
        remote = RemoteStore(endpoint(keys, server))
        for _ in range(70):
            async with remote.read() as reader:
                await anext(reader.batches(Scan(Table.UNITS, ("uuid",))))
        async with remote.read() as reader:
            assert (await reader.distinct(Distinct(Table.UNITS, ("cluster_id",)))).num_rows == 1
        await remote.close()


async def test_what_goes_wrong_there_is_told_here(sites: tuple[Path, Path], keys: Files) -> None:
    async with serving(*arguments(sites[1], keys)) as server:
        right = endpoint(keys, server)
        stranger = RemoteStore(replace(right, token="another"))
        with pytest.raises(StorePermissionError, match="refuses this Grafana"):
            await stranger.version()
        distrustful = RemoteStore(replace(right, ca_cert=""))
        with pytest.raises(StoreError, match="not secure"):
            await distrustful.version()
        remote = RemoteStore(right)
        async with remote.read() as reader:
            with pytest.raises(StoreError) as caught:
                await reader.table(Scan(Table.UNITS, ("total_outgress_stats",)))
            here = SqliteStore(sites[1])
            with pytest.raises(StoreError) as wanted:
                async with here.read() as local:
                    await local.table(Scan(Table.UNITS, ("total_outgress_stats",)))
            assert (type(caught.value), str(caught.value)) == (type(wanted.value), str(wanted.value))
            await here.close()
        sites[1].unlink()
        with pytest.raises(StoreMissingError) as missing:
            async with remote.read():
                pass
        assert str(sites[1]) not in str(missing.value)
        assert str(sites[1]) in missing.value.detail
        for store in (stranger, distrustful, remote):
            await store.close()


async def test_a_server_of_an_older_version_is_told_from_one_that_fails(sites: tuple[Path, Path], keys: Files) -> None:
    older = (sys.executable, "-m", "tests.bridge.old_server")
    async with serving(*arguments(sites[1], keys), command=older) as server:
        remote = RemoteStore(endpoint(keys, server))
        with pytest.raises(
            StoreError, match=r"^Its server has another version; install the same version on both"
        ) as caught:
            async with remote.read():
                pass
        assert f"speaks protocol {PROTOCOL - 1}, the plugin in Grafana is version" in caught.value.detail
        await remote.close()


async def test_half_of_a_surrogate_pair_is_refused_before_it_is_sent(sites: tuple[Path, Path], keys: Files) -> None:
    async with serving(*arguments(sites[1], keys)) as server:
        remote = RemoteStore(endpoint(keys, server))
        async with remote.read() as reader:
            with pytest.raises(StoreError, match="half of a surrogate pair"):
                await reader.table(Scan(Table.UNITS, ("uuid",), In("name", ("\ud800",))))
        await remote.close()


async def test_a_site_behind_a_server_is_merged_with_a_file(
    plugin: Plugin, sites: tuple[Path, Path], keys: Files
) -> None:
    async with serving(*arguments(sites[1], keys)) as server:
        ceems = over_north_and(plugin, sites[0], keys, server.port)
        assert await ceems.units("ann") == (["os-s-ann", "slurm-n-ann"], [])
        rows = await ceems.rows("root-s", "usage/current/admin", *WINDOW, ("groupby", "cluster_id"))
        assert {row["cluster_id"] for row in rows} == {"os-s"}
        health = await ceems.health()
        assert "south" in health.message


async def test_a_server_that_died_is_named_and_comes_back(
    plugin: Plugin, sites: tuple[Path, Path], keys: Files
) -> None:
    async with serving(*arguments(sites[1], keys)) as server:
        ceems = over_north_and(plugin, sites[0], keys, server.port, sourceTimeout="5s")
        assert (await ceems.units("ann"))[1] == []
        server.freeze_port()
        await server.kill()
        uuids, (warning,) = await ceems.units("ann")
        assert uuids == ["slurm-n-ann"]
        assert warning.startswith("Rows of source 'south' (cluster os-s) are missing: ")
        assert await ceems.units("ann", ("cluster_id", "slurm-n")) == (["slurm-n-ann"], [])
        strict = over_north_and(plugin, sites[0], keys, server.port, onSourceFailure="error", sourceTimeout="2s")
        assert error_of(await strict.get("ann", "units", *WINDOW))[0] == 503
        await server.start()
        async with asyncio.timeout(60):
            while (await ceems.units("ann"))[1]:
                continue


async def test_a_server_that_hangs_is_left_out_after_the_timeout(
    plugin: Plugin, sites: tuple[Path, Path], keys: Files
) -> None:
    async with serving(*arguments(sites[1], keys)) as server:
        ceems = over_north_and(plugin, sites[0], keys, server.port, sourceTimeout="3s")
        assert (await ceems.units("ann"))[1] == []
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            uuids, (warning,) = await ceems.units("ann")
            assert uuids == ["slurm-n-ann"]
            assert warning == (
                "Rows of source 'south' (cluster os-s) are missing: it did not answer within 3 s (sourceTimeout)."
            )
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        async with asyncio.timeout(60):
            while (await ceems.units("ann"))[1]:
                continue


async def test_a_server_that_is_asked_too_much_says_so(sites: tuple[Path, Path], keys: Files) -> None:
    async with serving(*arguments(sites[1], keys)) as server:
        remote = RemoteStore(endpoint(keys, server))
        readers = [remote.read() for _ in range(64)]
        for reader in readers:
            await reader.__aenter__()
        with pytest.raises(StoreBusyError, match="busy"):
            async with remote.read():
                pass
        for reader in readers:
            await reader.__aexit__(None, None, None)
        await remote.close()

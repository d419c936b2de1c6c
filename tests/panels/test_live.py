"""Live channels of the real process: a frame at the start and after each change, without rows of other users."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from ceems_grpc.panels.live import channel_key
from ceems_grpc.panels.live_rights import MOST_RUNS
from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.support.places import SYNTHETIC
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin

FIELDS = json.dumps({"fields": ["uuid", "username"]}).encode()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return Path(shutil.copy(SYNTHETIC, tmp_path / "ceems.db"))


@pytest.fixture
async def ceems(database: Path) -> AsyncIterator[CeemsPlugin]:
    async with ceems_plugin(database) as running:
        yield running


async def _subscribe(ceems: CeemsPlugin, login: str | None, path: str, data: bytes = FIELDS) -> Any:
    context = ceems.asker(login).context()
    request = pb.SubscribeStreamRequest(pluginContext=context, path=path, data=data)
    return await ceems.plugin.call("Stream.SubscribeStream", request)


def _run(ceems: CeemsPlugin, login: str, path: str, data: bytes = FIELDS) -> Any:
    context = ceems.asker(login).context()
    return ceems.plugin.start("Stream.RunStream", pb.RunStreamRequest(pluginContext=context, path=path, data=data))


def _rows(data: bytes) -> list[list[Any]]:
    return [list(row) for row in zip(*json.loads(data)["data"]["values"], strict=True)]


def _running_unit(database: Path, username: str, uuid: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute(
            "INSERT INTO units (cluster_id, resource_manager, uuid, project, username, started_at, started_at_ts,"
            " ended_at, ended_at_ts, state, ignore, last_updated_at)"
            " VALUES ('slurm-0', 'slurm', ?, 'proj000', ?, '2026-01-01T00:00:00+0100', 1767222000000,"
            " 'Unknown', 0, 'RUNNING', 0, '2026-01-01T00:00:00')",
            (uuid, username),
        )
    connection.close()


async def test_a_frame_comes_at_first_and_after_each_change(ceems: CeemsPlugin, database: Path) -> None:
    path = f"units/running/{channel_key('user0004')}"
    _running_unit(database, "user0004", "first")
    answer = await _subscribe(ceems, "user0004", path)
    assert answer.status == pb.SubscribeStreamResponse.OK
    assert ["first", "user0004"] in _rows(answer.data)
    stream = _run(ceems, "user0004", path)
    before = _rows((await stream.read()).data)
    _running_unit(database, "user0004", "second")
    _running_unit(database, "user0005", "somebody else's")
    after = _rows((await stream.read()).data)
    assert sorted(after) == sorted([*before, ["second", "user0004"]])
    stream.cancel()


async def test_channels_of_others_are_refused(ceems: CeemsPlugin) -> None:
    theirs = f"units/running/{channel_key('user0004')}"
    assert (await _subscribe(ceems, "user0005", theirs)).status == pb.SubscribeStreamResponse.PERMISSION_DENIED
    assert (await _subscribe(ceems, None, "stats")).status == pb.SubscribeStreamResponse.PERMISSION_DENIED
    # A channel without a key belongs to the first listener: Grafana would send its frames to both.
    assert (await _subscribe(ceems, "user0004", "units/running")).status == pb.SubscribeStreamResponse.OK
    assert (await _subscribe(ceems, "user0005", "units/running")).status == pb.SubscribeStreamResponse.PERMISSION_DENIED


async def test_asking_as_an_administrator_is_refused_for_others_and_ends_when_the_right_does(
    ceems: CeemsPlugin, database: Path
) -> None:
    data = b'{"admin": true, "mode": "global"}'
    refused = await _subscribe(ceems, "user0004", f"stats/{channel_key('user0004')}", data)
    assert refused.status == pb.SubscribeStreamResponse.PERMISSION_DENIED
    path = f"stats/{channel_key('admin')}"
    stream = _run(ceems, "admin", path, data)
    assert len(_rows((await stream.read()).data)) == 4
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM admin_users")
    connection.close()
    # The right is remembered for ten seconds; after that, the next change of the database looks it up again.
    with pytest.raises(Exception, match="admin privileges"):  # noqa: PT012 - until it ends
        while True:
            await asyncio.sleep(2)
            _running_unit(database, "user0004", f"unit {asyncio.get_running_loop().time()}")
            assert len(_rows((await stream.read()).data)) == 4


async def test_a_channel_without_a_key_keeps_its_owner_when_its_run_ends_or_settings_are_saved(
    ceems: CeemsPlugin,
) -> None:
    stream = _run(ceems, "user0004", "stats", b"{}")
    await stream.read()
    stream.cancel()
    bad = _run(ceems, "user0004", "stats", b"no JSON")
    with pytest.raises(grpc.aio.AioRpcError, match="cannot be read"):
        await bad.read()
    saved = replace(ceems, json_data={**ceems.json_data, "rowLimit": 5_000})
    for asked in (ceems, saved):
        assert (
            await _subscribe(asked, "user0005", "stats", b"{}")
        ).status == pb.SubscribeStreamResponse.PERMISSION_DENIED
    assert (await _subscribe(saved, "user0004", "stats", b"{}")).status == pb.SubscribeStreamResponse.OK


async def test_runs_end_when_settings_are_saved(ceems: CeemsPlugin) -> None:
    path = f"stats/{channel_key('user0004')}"
    stream = _run(ceems, "user0004", path, b"{}")
    await stream.read()
    saved = replace(ceems, json_data={**ceems.json_data, "rowLimit": 5_000})
    assert (await _subscribe(saved, "user0005", f"stats/{channel_key('user0005')}", b"{}")).status == 0
    async with asyncio.timeout(5):
        assert await stream.read() == grpc.aio.EOF
    again = _run(saved, "user0004", path, b"{}")
    assert (await again.read()).data
    again.cancel()


async def test_a_role_that_was_taken_away_ends_what_it_allowed(database: Path) -> None:
    _running_unit(database, "user0005", "somebody else's")
    async with ceems_plugin(database, adminRole="Admin") as ceems:
        path = f"units/running/{channel_key('user0004')}"
        streams = {}
        for admin in ('"auto"', "true"):
            data = f'{{"admin": {admin}, "fields": ["uuid", "username"]}}'.encode()
            context = ceems.asker("user0004", "Admin").context()
            request = pb.RunStreamRequest(pluginContext=context, path=f"{path}/{len(admin)}", data=data)
            stream = streams[admin] = ceems.plugin.start("Stream.RunStream", request)
            assert ["somebody else's", "user0005"] in _rows((await stream.read()).data)
        # Any call carries the current role.
        assert (await ceems.resource("user0004", "projects", role="Viewer")).status == 200
        async with asyncio.timeout(10):
            assert {row[1] for row in _rows((await streams['"auto"'].read()).data)} <= {"user0004"}
            with pytest.raises(grpc.aio.AioRpcError, match="admin privileges"):
                await streams["true"].read()
        streams['"auto"'].cancel()


async def test_one_user_cannot_run_channels_without_end(ceems: CeemsPlugin) -> None:
    path = f"stats/{channel_key('user0004')}"
    streams = [_run(ceems, "user0004", f"{path}/{number}", b"{}") for number in range(MOST_RUNS)]
    for stream in streams:
        await stream.read()
    with pytest.raises(grpc.aio.AioRpcError, match="close some live panels"):
        await _run(ceems, "user0004", f"{path}/more", b"{}").read()
    others = await _subscribe(ceems, "user0005", f"stats/{channel_key('user0005')}", b"{}")
    assert others.status == pb.SubscribeStreamResponse.OK
    for stream in streams:
        stream.cancel()


async def test_unknown_channels_are_not_found(ceems: CeemsPlugin) -> None:
    for path in ("", "units", "units/runningx", "nothing", "../stats"):
        assert (await _subscribe(ceems, "user0004", path)).status == pb.SubscribeStreamResponse.NOT_FOUND

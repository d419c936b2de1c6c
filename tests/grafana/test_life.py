"""The life cycle of the real plugin process."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ceems_grpc.grafana.serve.tls import Identity
from ceems_grpc.pb import go_plugin_pb2
from tests.support.places import ROOT
from tests.support.plugin.process import (
    ECHO,
    ENVIRONMENT,
    Asker,
    Handshake,
    alive,
    close_pipes,
    lines,
    running,
    spawn,
    start_call,
)
from tests.support.waiting import until

PARENT = """
import json, os, subprocess, sys
child = subprocess.Popen(json.loads(sys.argv[1]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
print(child.pid, child.stdout.readline().decode().strip(), flush=True)
sys.stdin.read()
"""
PARENT_THAT_DOES_NOT_WAIT = """
import json, os, subprocess, sys
child = subprocess.Popen(json.loads(sys.argv[1]), stdin=subprocess.DEVNULL)
print(child.pid, flush=True)
os._exit(0)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder with a path that is short enough for a socket; pytest's own paths may be too long."""
    with tempfile.TemporaryDirectory(prefix="t") as name:
        yield Path(name)


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def sockets(folder: Path) -> list[Path]:
    return list(folder.glob("*/socket"))


def lose(socket: Path, *, replaced: bool) -> None:
    socket.unlink()
    if replaced:
        socket.write_text("")


async def refused(environment: dict[str, str]) -> tuple[int | None, bytes, str]:
    process = await spawn(ECHO, environment)
    output, error = await process.communicate()
    return process.returncode, output, error.decode()


@pytest.mark.parametrize("cookie", [{}, {"grafana_plugin_type": "app"}])
async def test_started_by_hand_it_says_what_it_is(cookie: dict[str, str]) -> None:
    code, output, error = await refused({**cookie, "PLUGIN_PROTOCOL_VERSIONS": "2"})
    assert (code, output) == (1, b"")
    assert "echo is a data source plugin for Grafana" in error
    assert "To install it" in error


@pytest.mark.parametrize("versions", ["1", "1,3", "20", "x"])
async def test_a_host_with_other_protocol_versions_is_told(versions: str) -> None:
    code, output, error = await refused({**ENVIRONMENT, "PLUGIN_PROTOCOL_VERSIONS": versions})
    assert (code, output) == (1, b"")
    assert f"offers only: {versions}" in error


async def test_a_missing_socket_folder_is_told(folder: Path) -> None:
    code, output, error = await refused({**ENVIRONMENT, "PLUGIN_UNIX_SOCKET_DIR": str(folder / "missing")})
    assert (code, output) == (1, b"")
    assert "does not exist" in json.loads(error)["@message"]


async def test_a_socket_path_that_is_too_long_is_told(folder: Path) -> None:
    long = folder / ("x" * 100)
    os.mkdir(long)  # noqa: PTH102 ruff wants no pathlib in async code
    code, output, error = await refused({**ENVIRONMENT, "PLUGIN_UNIX_SOCKET_DIR": str(long)})
    assert (code, output) == (1, b"")
    assert "longer than" in json.loads(error)["@message"]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_a_temporary_folder_with_a_long_path_is_told(folder: Path, tls: bool) -> None:
    long = folder / ("x" * 100)
    os.mkdir(long)  # noqa: PTH102 ruff wants no pathlib in async code
    # With TLS there is a second socket, which is always in the temporary folder.
    more = {"PLUGIN_UNIX_SOCKET_DIR": str(folder), "PLUGIN_CLIENT_CERT": "any"} if tls else {}
    code, output, error = await refused({**ENVIRONMENT, **more, "TMPDIR": str(long)})
    assert (code, output) == (1, b"")
    line = json.loads(error)
    assert "longer than" in line["@message"]
    assert "stacktrace" not in line
    assert names(long) == []


async def test_a_socket_folder_that_cannot_be_written_to_is_told() -> None:
    code, output, error = await refused({**ENVIRONMENT, "PLUGIN_UNIX_SOCKET_DIR": "/proc"})
    assert (code, output) == (1, b"")
    line = json.loads(error)
    assert "cannot create its socket in /proc" in line["@message"]
    assert "Set PLUGIN_UNIX_SOCKET_DIR" in line["@message"]
    assert "stacktrace" not in line


async def test_no_usable_temporary_folder_is_told() -> None:
    # If no byte can be written to files, as on a full disk, Python finds no temporary folder.
    full = ("/bin/sh", "-c", 'ulimit -f 0; exec "$0" "$@"', *ECHO)
    process = await spawn(full, ENVIRONMENT)
    output, error = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    line = json.loads(error)
    assert "There is no temporary folder for the plugin's socket" in line["@message"]
    assert "stacktrace" not in line


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
async def test_it_ends_when_its_socket_file_is_lost(folder: Path, replaced: bool) -> None:
    async with running(environment={"PLUGIN_UNIX_SOCKET_DIR": str(folder)}) as plugin:
        answer = await plugin.call("Data.QueryData", Asker().queries(A={"do": "echo"}))
        assert answer.responses["A"].status == 200
        lose(Path(plugin.handshake.address), replaced=replaced)
        assert await plugin.ended() == 1
        (line,) = [line for line in plugin.log() if line["@level"] == "error"]
        assert "its socket was removed" in line["@message"]


async def test_it_ends_when_the_inner_socket_of_tls_is_lost(folder: Path) -> None:
    host = Identity()
    environment = {"TMPDIR": str(folder), "PLUGIN_CLIENT_CERT": host.certificate_pem.decode()}
    async with running(environment=environment) as plugin:
        (inner,) = {*sockets(folder)} - {Path(plugin.handshake.address)}
        lose(inner, replaced=False)
        assert await plugin.ended() == 1


async def test_an_unknown_socket_group_is_told(folder: Path) -> None:
    code, output, error = await refused({**ENVIRONMENT, "PLUGIN_UNIX_SOCKET_GROUP": "no such group"})
    assert (code, output) == (1, b"")
    assert "no such group" in json.loads(error)["@message"]


@pytest.mark.parametrize("versions", ["2", "1, 2", ""])
async def test_the_handshake_is_one_line_of_six_parts(folder: Path, versions: str) -> None:
    environment = {"PLUGIN_PROTOCOL_VERSIONS": versions, "PLUGIN_UNIX_SOCKET_DIR": str(folder)}
    async with running(environment={**environment, "PLUGIN_MULTIPLEX_GRPC": "true"}) as plugin:
        socket = Path(plugin.handshake.address)
        assert plugin.handshake == Handshake("1", "2", "unix", str(socket), "grpc", "")
        assert socket.parent == folder
        assert mode(socket) == 0o600


async def test_the_socket_can_be_given_to_a_group(folder: Path) -> None:
    environment = {"PLUGIN_UNIX_SOCKET_DIR": str(folder), "PLUGIN_UNIX_SOCKET_GROUP": str(os.getgid())}
    async with running(environment=environment) as plugin:
        assert mode(Path(plugin.handshake.address)) == 0o660


async def test_without_a_folder_the_socket_is_in_a_private_one_that_goes_with_it(folder: Path) -> None:
    async with running(environment={"TMPDIR": str(folder)}) as plugin:
        private = Path(plugin.handshake.address).parent
        assert private.parent == folder
        assert mode(private) == 0o700
    assert names(folder) == []


async def test_nothing_but_the_handshake_gets_onto_standard_output() -> None:
    async with running() as plugin:
        await plugin.call("Data.QueryData", Asker().queries(A={"do": "print"}))
        plugin.process.terminate()
        assert await plugin.ended() == 0
        assert plugin.process.stdout
        assert await plugin.process.stdout.read() == b""
        assert b"printed by a C library\n" in plugin.standard_error
        assert b"printed by Python\n" in plugin.standard_error


async def test_it_works_with_nothing_in_the_environment_but_the_cookie() -> None:
    process = await spawn(ECHO, {"grafana_plugin_type": "datasource"})
    assert process.stdout
    handshake = Handshake.parse(await process.stdout.readline())
    async with grpc.aio.insecure_channel(handshake.target) as channel:
        call = start_call(channel, "Resource.CallResource", Asker().resource("any"))
        answers = [json.loads(answer.body) async for answer in call]
        await start_call(channel, "GRPCController.Shutdown", go_plugin_pb2.Empty())
    assert await process.wait() == 0
    assert not {"PATH", "HOME", "LANG"} & set(answers[0]["environment"])


async def test_sigterm_stops_it_cleanly(folder: Path) -> None:
    journal = folder / "journal"
    async with running(environment={"PLUGIN_UNIX_SOCKET_DIR": str(folder)}) as plugin:
        asker = Asker(json_data={"journal": str(journal)})
        call = plugin.start("Data.QueryData", asker.queries(A={"do": "wait"}))
        call.add_done_callback(lambda _: None)
        await until(lambda: "A waits" in lines(journal))
        plugin.process.terminate()
        assert await plugin.ended() == 0
        with pytest.raises(grpc.aio.AioRpcError):
            await call
    # The folder belongs to the host and stays.
    assert names(folder) == ["journal"]
    assert lines(journal) == ["A waits", "A stopped", "closed"]


async def test_work_that_cannot_be_interrupted_does_not_keep_it_alive(folder: Path) -> None:
    journal = folder / "journal"
    async with running(environment={"TMPDIR": str(folder)}) as plugin:
        call = plugin.start("Data.QueryData", Asker(json_data={"journal": str(journal)}).queries(A={"do": "block"}))
        answered = asyncio.ensure_future(call.code())
        await until(lambda: "blocked" in lines(journal))
        plugin.process.terminate()
        assert await plugin.ended() == 1
        assert await answered != grpc.StatusCode.OK
    assert names(folder) == ["journal"]


async def test_sigint_is_ignored() -> None:
    async with running() as plugin:
        plugin.process.send_signal(signal.SIGINT)
        answer = await plugin.call("Data.QueryData", Asker().queries(A={"do": "echo"}))
        assert answer.responses["A"].status == 200


async def test_shutdown_stops_it_while_the_hosts_own_streams_are_open(folder: Path) -> None:
    async with running(environment={"PLUGIN_UNIX_SOCKET_DIR": str(folder)}) as plugin:
        stdio = plugin.start("GRPCStdio.StreamStdio", Empty())
        broker: Any = plugin.channel.stream_stream("/plugin.GRPCBroker/StartStream")()
        await asyncio.gather(stdio.wait_for_connection(), broker.wait_for_connection())
        await plugin.call("GRPCController.Shutdown", go_plugin_pb2.Empty())
        assert await plugin.ended() == 0
        assert await stdio.code() == grpc.StatusCode.OK
        assert await broker.code() == grpc.StatusCode.OK
    assert names(folder) == []


async def test_health_says_serving_for_the_name_that_go_plugin_asks() -> None:
    async with running() as plugin:
        stub = health_pb2_grpc.HealthStub(plugin.channel)
        for name in ("plugin", ""):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_it_ends_when_its_parent_is_killed(folder: Path) -> None:
    environment = {**ENVIRONMENT, "PLUGIN_UNIX_SOCKET_DIR": str(folder)}
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, json.dumps(ECHO)),
        env=environment,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert parent.stdout
    pid = int((await parent.stdout.readline()).split()[0])
    assert names(folder)
    assert alive(pid)
    parent.kill()
    await parent.wait()
    await until(lambda: not alive(pid))
    close_pipes(parent)
    assert names(folder) == []


async def test_it_ends_when_its_parent_died_before_it_could_look() -> None:
    # Standard output still has a reader, so that a broken pipe does not end the process.
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT_THAT_DOES_NOT_WAIT, json.dumps(ECHO)),
        env=ENVIRONMENT,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # In its own session, like a service or a terminal.
        start_new_session=True,
    )
    assert parent.stdout
    pid = int(await parent.stdout.readline())
    await parent.wait()
    await until(lambda: not alive(pid))
    close_pipes(parent)


async def test_it_ends_when_nobody_reads_its_handshake() -> None:
    process = await spawn()
    assert process.stdout
    process.stdout._transport.close()  # type: ignore[attr-defined]
    assert process.stderr
    error = (await process.stderr.read()).decode()
    assert await process.wait() == 1
    close_pipes(process)
    assert "the host is gone" in error

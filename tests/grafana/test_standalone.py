"""A plugin that runs standalone, and the one that points Grafana to it."""

import signal
import socket

import grpc
import pytest

from ceems_grpc.grafana.serve.handshake import HandshakeError
from ceems_grpc.grafana.serve.standalone import standalone_address
from ceems_grpc.pb import go_plugin_pb2
from tests.support.plugin.process import ECHO, Asker, Handshake, running, spawn


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


async def test_grafana_reaches_a_plugin_that_was_started_by_hand_and_cannot_stop_it() -> None:
    address = {"GF_PLUGIN_GRPC_ADDRESS": free_address()}
    by_hand = await spawn(ECHO, {**address, "GF_PLUGIN_GRPC_STANDALONE": "true"})
    assert by_hand.stderr
    assert b"runs by itself" in await by_hand.stderr.readline()
    async with running(environment=address) as plugin:
        assert plugin.handshake == Handshake("1", "2", "tcp", address["GF_PLUGIN_GRPC_ADDRESS"], "grpc", "")
        answer = await plugin.call("Data.QueryData", Asker().queries(A={"do": "echo"}))
        assert answer.responses["A"].status == 200
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await plugin.call("GRPCController.Shutdown", go_plugin_pb2.Empty())
        assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED
        plugin.process.terminate()
        assert await plugin.ended() == 0
    by_hand.send_signal(signal.SIGINT)
    await by_hand.communicate()
    assert by_hand.returncode == 0


async def test_an_address_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        process = await spawn(ECHO, {"GF_PLUGIN_GRPC_ADDRESS": address, "GF_PLUGIN_GRPC_STANDALONE": "true"})
        _, error = await process.communicate()
    assert process.returncode == 1
    assert f"cannot listen on {address}" in error.decode()


@pytest.mark.parametrize("address", ["0.0.0.0:50055", "10.0.0.1:1", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:0", ":5"])
def test_only_a_loopback_address_will_do(address: str) -> None:
    with pytest.raises(HandshakeError, match="loopback"):
        standalone_address({"GF_PLUGIN_GRPC_ADDRESS": address})


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, ""),
        ({"GF_PLUGIN_GRPC_STANDALONE": "true"}, "127.0.0.1:50055"),
        ({"GF_PLUGIN_GRPC_ADDRESS": "[::1]:7"}, "[::1]:7"),
    ],
)
def test_the_address(environment: dict[str, str], address: str) -> None:
    assert standalone_address(environment) == address

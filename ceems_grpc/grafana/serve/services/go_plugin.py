"""The services that HashiCorp's go-plugin needs from every plugin that it starts."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from ceems_grpc.grafana.serve.services.rpc import service
from ceems_grpc.pb import go_plugin_pb2 as pb

_Rpc = grpc.aio.ServicerContext[Any, Any]


class GoPluginServices:
    """Shutdown, and two streams that the host keeps open and on which this plugin sends nothing.

    The broker offers more connections, which Grafana's protocol never uses. Output needs no second stream: what code
    prints goes to standard error, which the host reads anyway.
    """

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return what a gRPC server is given."""
        services = pb.DESCRIPTOR.services_by_name
        return [
            service(services["GRPCBroker"], {"StartStream": self.start_stream}),
            service(services["GRPCStdio"], {"StreamStdio": self.stream_stdio}),
            service(services["GRPCController"], {"Shutdown": self.shutdown}),
        ]

    async def start_stream(self, _offers: AsyncIterator[pb.ConnInfo], rpc: _Rpc) -> None:
        """Stay open until the plugin stops."""
        await rpc.send_initial_metadata(())
        await self._stopping.wait()

    async def stream_stdio(self, _request: Empty, rpc: _Rpc) -> None:
        """Stay open until the plugin stops."""
        await rpc.send_initial_metadata(())
        await self._stopping.wait()

    async def shutdown(self, _request: pb.Empty, _rpc: _Rpc) -> pb.Empty:
        """Stop the plugin."""
        self._stopping.set()
        return pb.Empty()

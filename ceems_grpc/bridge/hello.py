"""The Bridge service: the version and clock of a server."""

import time
from typing import Any

import grpc

from ceems_grpc.grafana.serve.services.rpc import service
from ceems_grpc.pb import bridge_pb2 as pb
from ceems_grpc.version import VERSION

_Rpc = grpc.aio.ServicerContext[Any, Any]


class HelloService:
    """Reports the version and the clock of this host."""

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of the service for a gRPC server."""
        return service(pb.DESCRIPTOR.services_by_name["Bridge"], {"Hello": self.hello})

    async def hello(self, _request: pb.HelloRequest, _rpc: _Rpc) -> pb.HelloResponse:
        """Answer the call. The gate has already refused unknown callers."""
        return pb.HelloResponse(version=VERSION, now_ms=time.time_ns() // 1_000_000)

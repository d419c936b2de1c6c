"""The Bridge service: what a server says about itself."""

import time
from typing import Any

import grpc

from ceems_grpc.grafana.serve.services.rpc import service
from ceems_grpc.pb import bridge_pb2 as pb
from ceems_grpc.version import VERSION

_Rpc = grpc.aio.ServicerContext[Any, Any]


class HelloService:
    """Version and clock of this host."""

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server is given."""
        return service(pb.DESCRIPTOR.services_by_name["Bridge"], {"Hello": self.hello})

    async def hello(self, _request: pb.HelloRequest, _rpc: _Rpc) -> pb.HelloResponse:
        """Answer; whoever may not ask does not come here."""
        return pb.HelloResponse(version=VERSION, now_ms=time.time_ns() // 1_000_000)

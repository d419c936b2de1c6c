"""The Diagnostics service: "Save & test", and metrics for Prometheus."""

import json
from typing import Any

import grpc
from prometheus_client import generate_latest

from ceems_grpc.plugin.call import FAILURES, answering
from ceems_grpc.plugin.context import PluginContext
from ceems_grpc.plugin.instances import InstanceManager
from ceems_grpc.plugin.pb import pluginv2_pb2 as pb
from ceems_grpc.plugin.rpc import Method, service

_Rpc = grpc.aio.ServicerContext[Any, Any]


class DiagnosticsService:
    """Health of a data source, and what the process has counted."""

    def __init__(self, instances: InstanceManager) -> None:
        self._instances = instances

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server is given."""
        methods: dict[str, Method] = {"CheckHealth": self.check_health, "CollectMetrics": self.collect_metrics}
        return service(pb.DESCRIPTOR.services_by_name["Diagnostics"], methods)

    async def check_health(self, request: pb.CheckHealthRequest, _rpc: _Rpc) -> pb.CheckHealthResponse:
        """Ask the data source; settings that no data source can be made from answer ERROR with the reason."""
        context = PluginContext.from_proto(request.pluginContext)
        with answering("checkHealth", context) as call:
            try:
                async with self._instances.get(context) as datasource:
                    result = await datasource.check_health(context)
                details = json.dumps(dict(result.details)).encode() if result.details else b""
                return pb.CheckHealthResponse(
                    status=result.status.name,
                    message=result.message,
                    jsonDetails=details,
                )
            except FAILURES as error:
                message = call.failure(error).message
                return pb.CheckHealthResponse(status=pb.CheckHealthResponse.ERROR, message=message)

    async def collect_metrics(self, request: pb.CollectMetricsRequest, _rpc: _Rpc) -> pb.CollectMetricsResponse:
        """Give all metrics of the default registry in Prometheus' text format."""
        with answering("collectMetrics", PluginContext.from_proto(request.pluginContext)):
            payload = pb.CollectMetricsResponse.Payload(prometheus=generate_latest())
            return pb.CollectMetricsResponse(metrics=payload)

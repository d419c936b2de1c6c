"""The Diagnostics service: "Save & test", and metrics for Prometheus."""

import asyncio
import json
from typing import Any

import grpc
from prometheus_client import generate_latest

from ceems_grpc.grafana.backend.context import PluginContext
from ceems_grpc.grafana.serve.instances import Instances
from ceems_grpc.grafana.serve.services.call import FAILURES, answering
from ceems_grpc.grafana.serve.services.relaying import relayable
from ceems_grpc.grafana.serve.services.rpc import service
from ceems_grpc.grafana.serve.telemetry import metrics
from ceems_grpc.pb import pluginv2_pb2 as pb

_Rpc = grpc.aio.ServicerContext[Any, Any]


class DiagnosticsService:
    """The health of a data source, and the metrics of the process."""

    def __init__(self, instances: Instances) -> None:
        self._instances = instances

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server is given."""
        description = pb.DESCRIPTOR.services_by_name["Diagnostics"]
        methods = relayable(self._instances, description, {"CheckHealth": self.check_health})
        return service(description, {**methods, "CollectMetrics": self.collect_metrics})

    async def check_health(self, request: pb.CheckHealthRequest, rpc: _Rpc) -> pb.CheckHealthResponse:
        """Ask the data source. If the factory refuses the settings, the answer is ERROR with the reason."""
        context = PluginContext.from_proto(request.pluginContext)
        with answering("checkHealth", context, rpc, request.headers) as call:
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

    async def collect_metrics(self, request: pb.CollectMetricsRequest, rpc: _Rpc) -> pb.CollectMetricsResponse:
        """Return all metrics of the default registry, and those that relays get, in Prometheus' text format."""
        with answering("collectMetrics", PluginContext.from_proto(request.pluginContext), rpc):
            others = await asyncio.gather(*(relay.metrics() for relay in self._instances.relays()))
            # Collectors may read files.
            text = await asyncio.to_thread(generate_latest, metrics.Together(others))
            payload = pb.CollectMetricsResponse.Payload(prometheus=text)
            return pb.CollectMetricsResponse(metrics=payload)

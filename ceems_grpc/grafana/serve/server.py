"""The gRPC server with all services of a plugin."""

import asyncio

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ceems_grpc.grafana.serve.instances import Instances
from ceems_grpc.grafana.serve.services.data import DataService
from ceems_grpc.grafana.serve.services.diagnostics import DiagnosticsService
from ceems_grpc.grafana.serve.services.go_plugin import GoPluginServices
from ceems_grpc.grafana.serve.services.resource import ResourceService
from ceems_grpc.grafana.serve.services.stream import StreamService
from ceems_grpc.pb import go_plugin_pb2, pluginv2_pb2

_LARGEST_REQUEST = 64 * 1024 * 1024
_UNLIMITED = -1
# go-plugin asks the health service about the first name, other clients about the second.
_HEALTH_NAMES = ("plugin", "")


def plugin_services(instances: Instances, stopping: asyncio.Event) -> list[grpc.GenericRpcHandler]:
    """Return the handlers of the services that a data source answers. ``stopping`` ends their streams."""
    return [
        DiagnosticsService(instances).handler(),
        DataService(instances).handler(),
        ResourceService(instances).handler(),
        StreamService(instances, stopping).handler(),
    ]


async def make_server(instances: Instances, stopping: asyncio.Event, *, go_plugin: bool = True) -> grpc.aio.Server:
    """Make the server without starting it. ``stopping`` is set when the host asks the plugin to stop.

    Without ``go_plugin`` the host cannot stop the plugin, which is right for one that the host did not start.

    AdmissionControl and ResourceConversion are not registered, and gRPC answers them with UNIMPLEMENTED. A data source
    without its own object types has nothing to admit or convert, and Grafana understands the answer in this way.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", _LARGEST_REQUEST),
            ("grpc.max_send_message_length", _UNLIMITED),
            # Two plugins with one address must not share its requests.
            ("grpc.so_reuseport", 0),
        ]
    )
    server.add_generic_rpc_handlers(
        [
            *plugin_services(instances, stopping),
            *(GoPluginServices(stopping).handlers() if go_plugin else []),
        ]
    )
    servicer = health.aio.HealthServicer()
    for name in _HEALTH_NAMES:
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    names = [
        *(service.full_name for service in go_plugin_pb2.DESCRIPTOR.services_by_name.values() if go_plugin),
        *(
            pluginv2_pb2.DESCRIPTOR.services_by_name[name].full_name
            for name in ("Diagnostics", "Data", "Resource", "Stream")
        ),
        health.SERVICE_NAME,
        reflection.SERVICE_NAME,
    ]
    reflection.enable_server_reflection(names, server)
    return server

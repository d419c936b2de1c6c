"""Grafana's backend plugin protocol for Python: write a data source, and serve it to Grafana.

A plugin gives `serve_plugin` a factory: an async function that takes a `PluginContext` and returns a `DataSource`.
Nothing here knows what the data is; docs/python-sdk.md shows a whole data source.

Everything that the author of a data source needs can be imported from this package. A name is loaded when it is first
used, so that a plugin starts without Arrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ceems_grpc.grafana.backend.context import DataSourceSettings as DataSourceSettings
    from ceems_grpc.grafana.backend.context import PluginContext as PluginContext
    from ceems_grpc.grafana.backend.context import User as User
    from ceems_grpc.grafana.backend.datasource import DataSource as DataSource
    from ceems_grpc.grafana.backend.datasource import Factory as Factory
    from ceems_grpc.grafana.backend.diagnostics import HealthResult as HealthResult
    from ceems_grpc.grafana.backend.diagnostics import HealthStatus as HealthStatus
    from ceems_grpc.grafana.backend.errors import ErrorSource as ErrorSource
    from ceems_grpc.grafana.backend.errors import PluginError as PluginError
    from ceems_grpc.grafana.backend.query import DataQuery as DataQuery
    from ceems_grpc.grafana.backend.query import TimeRange as TimeRange
    from ceems_grpc.grafana.backend.resource import ResourceRequest as ResourceRequest
    from ceems_grpc.grafana.backend.resource import ResourceResponse as ResourceResponse
    from ceems_grpc.grafana.backend.stream import PublishResult as PublishResult
    from ceems_grpc.grafana.backend.stream import PublishStatus as PublishStatus
    from ceems_grpc.grafana.backend.stream import StreamRequest as StreamRequest
    from ceems_grpc.grafana.backend.stream import SubscribeResult as SubscribeResult
    from ceems_grpc.grafana.backend.stream import SubscribeStatus as SubscribeStatus
    from ceems_grpc.grafana.data.field import Field as Field
    from ceems_grpc.grafana.data.field_config import DataLink as DataLink
    from ceems_grpc.grafana.data.field_config import EnumConfig as EnumConfig
    from ceems_grpc.grafana.data.field_config import FieldConfig as FieldConfig
    from ceems_grpc.grafana.data.field_config import TypeConfig as TypeConfig
    from ceems_grpc.grafana.data.frame import Frame as Frame
    from ceems_grpc.grafana.data.metadata import FrameMeta as FrameMeta
    from ceems_grpc.grafana.data.metadata import FrameType as FrameType
    from ceems_grpc.grafana.data.metadata import InspectTab as InspectTab
    from ceems_grpc.grafana.data.metadata import Notice as Notice
    from ceems_grpc.grafana.data.metadata import QueryStat as QueryStat
    from ceems_grpc.grafana.serve.process import serve_plugin as serve_plugin

_MODULES = {
    "backend.context": ("DataSourceSettings", "PluginContext", "User"),
    "backend.datasource": ("DataSource", "Factory"),
    "backend.diagnostics": ("HealthResult", "HealthStatus"),
    "backend.errors": ("ErrorSource", "PluginError"),
    "backend.query": ("DataQuery", "TimeRange"),
    "backend.resource": ("ResourceRequest", "ResourceResponse"),
    "backend.stream": ("PublishResult", "PublishStatus", "StreamRequest", "SubscribeResult", "SubscribeStatus"),
    "data.field": ("Field",),
    "data.field_config": ("DataLink", "EnumConfig", "FieldConfig", "TypeConfig"),
    "data.frame": ("Frame",),
    "data.metadata": ("FrameMeta", "FrameType", "InspectTab", "Notice", "QueryStat"),
    "serve.process": ("serve_plugin",),
}
_HOMES = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

"""What a frame says about itself: its type, the executed query, notices for the user, statistics.

The structs are the JSON of `FrameMeta` in grafana-plugin-sdk-go (data/frame_meta.go). An option that has its default
value is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Literal

from msgspec import Struct
from msgspec import field as struct_field
from msgspec.structs import force_setattr

from ceems_grpc.grafana.data.field_config import FieldConfig

Severity = Literal["info", "warning", "error"]
Visualisation = Literal["graph", "table", "logs", "trace", "nodeGraph", "flamegraph"]

_SEVERITIES = ("info", "warning", "error")


class FrameType(StrEnum):
    """Frame types of the data plane contract (grafana.github.io/dataplane/contract), and others that Grafana reads.

    A plain table, buckets with their counts (Histogram panel), and such buckets per step (Heatmap panel) are no part of
    the contract.
    """

    TABLE = "table"
    TIMESERIES_WIDE = "timeseries-wide"
    TIMESERIES_LONG = "timeseries-long"
    TIMESERIES_MULTI = "timeseries-multi"
    NUMERIC_WIDE = "numeric-wide"
    NUMERIC_LONG = "numeric-long"
    NUMERIC_MULTI = "numeric-multi"
    HISTOGRAM = "histogram"
    HEATMAP_CELLS = "heatmap-cells"
    LOG_LINES = "log-lines"
    DIRECTORY_LISTING = "directory-listing"


class InspectTab(IntEnum):
    """A tab of the panel inspector, by the SDK's number. The SDK fails the whole frame for any other value."""

    META = 1
    ERROR = 2
    DATA = 3
    STATS = 4


class Notice(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A message that Grafana shows in the corner of a panel.

    `link` is an absolute address, or one from Grafana's root. `inspect` is the tab of the panel inspector to open.
    Raises ValueError for a severity or tab that Grafana does not know.
    """

    severity: Severity
    text: str
    link: str = ""
    inspect: InspectTab | None = None

    def __post_init__(self) -> None:
        if self.severity not in _SEVERITIES:
            raise ValueError(f"a notice's severity must be one of {', '.join(_SEVERITIES)}, not {self.severity!r}")
        if self.inspect is not None and not isinstance(self.inspect, InspectTab):
            raise ValueError(f"a notice's tab must be one of {', '.join(InspectTab.__members__)}, not {self.inspect!r}")


class QueryStat(FieldConfig, frozen=True, kw_only=True):
    """A number about the query itself (rows read, milliseconds taken), which the query inspector shows.

    `display_name` names it; `unit`, `decimals` and the other options format `value`.
    """

    value: float


class FrameMeta(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is true of a whole frame.

    `type` with `type_version` (major, minor) promises a shape of the data plane contract; without a type the version is
    (0, 0). `preferred_visualisation` is the panel that Explore shows the frame in. `executed_query` is what the query
    inspector shows. `channel` is the Grafana Live channel that carries updates of this frame. `unique_row_id_fields`
    are the indexes of the fields that identify a row. `path` and `path_separator` belong to directory listings.
    """

    type: FrameType | None = None
    # A default made by a function is never left out: Grafana's own frames always have a version.
    type_version: tuple[int, int] = struct_field(default_factory=lambda: (0, 1))
    path: str = ""
    path_separator: str = ""
    custom: dict[str, Any] = {}
    stats: list[QueryStat] = []
    notices: list[Notice] = []
    channel: str = ""
    preferred_visualisation: Visualisation | None = struct_field(default=None, name="preferredVisualisationType")
    preferred_visualisation_plugin_id: str = ""
    executed_query: str = struct_field(default="", name="executedQueryString")
    data_topic: Literal["", "annotations"] = ""
    unique_row_id_fields: list[int] = []

    def __post_init__(self) -> None:
        if self.type is None:
            force_setattr(self, "type_version", (0, 0))


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What an encoded frame says about itself besides its fields: name, query, metadata."""

    name: str
    ref_id: str
    meta: FrameMeta | None

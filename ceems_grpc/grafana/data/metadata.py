"""What a frame says about itself: its kind, the executed query, notices for the user, statistics.

The JSON names are those of `FrameMeta` in grafana-plugin-sdk-go (data/frame_meta.go).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from ceems_grpc.grafana.data.field_config import JsonObject, drop_unset

Severity = Literal["info", "warning", "error"]
Inspect = Literal["", "meta", "error", "data", "stats"]
Visualisation = Literal["graph", "table", "logs", "trace", "nodeGraph", "flamegraph"]

# The SDK writes and reads a notice's tab as this number; a text would fail the whole frame.
_INSPECT_NUMBERS: dict[str, int] = {"meta": 1, "error": 2, "data": 3, "stats": 4}
_SEVERITIES = ("info", "warning", "error")


class FrameType(StrEnum):
    """Frame types of the data plane contract (grafana.github.io/dataplane/contract), and Grafana's plain table."""

    TABLE = "table"
    TIMESERIES_WIDE = "timeseries-wide"
    TIMESERIES_LONG = "timeseries-long"
    TIMESERIES_MULTI = "timeseries-multi"
    NUMERIC_WIDE = "numeric-wide"
    NUMERIC_LONG = "numeric-long"
    NUMERIC_MULTI = "numeric-multi"
    LOG_LINES = "log-lines"
    DIRECTORY_LISTING = "directory-listing"


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that Grafana shows in the corner of a panel.

    `link` is an address, absolute or from Grafana's root; `inspect` names the tab of the panel inspector to open.
    Raises ValueError for a severity or tab that Grafana does not know.
    """

    severity: Severity
    text: str
    link: str = ""
    inspect: Inspect = ""

    def __post_init__(self) -> None:
        if self.severity not in _SEVERITIES:
            raise ValueError(f"a notice's severity must be one of {', '.join(_SEVERITIES)}, not {self.severity!r}")
        if self.inspect and self.inspect not in _INSPECT_NUMBERS:
            raise ValueError(f"a notice's tab must be one of {', '.join(_INSPECT_NUMBERS)}, not {self.inspect!r}")

    def as_json(self) -> JsonObject:
        """Return the notice as the SDK's JSON object."""
        optional = drop_unset({"link": self.link, "inspect": _INSPECT_NUMBERS.get(self.inspect)})
        return {"severity": self.severity, "text": self.text, **optional}


@dataclass(frozen=True, slots=True)
class QueryStat:
    """A number about the query itself (rows read, milliseconds taken), shown in the query inspector."""

    name: str
    value: float
    unit: str = ""
    decimals: int | None = None

    def as_json(self) -> JsonObject:
        """Return the statistic as the SDK's JSON object."""
        return {
            **drop_unset({"displayName": self.name, "unit": self.unit, "decimals": self.decimals}),
            "value": self.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameMeta:
    """What is true of a whole frame.

    `type` with `type_version` (major, minor) asserts a shape of the data plane contract; without a type no version is
    sent. `channel` is the Grafana Live channel that carries updates of this frame. `unique_row_id_fields` are the
    indexes of the fields that identify a row.
    """

    type: FrameType | None = None
    type_version: tuple[int, int] = (0, 1)
    path: str = ""
    path_separator: str = ""
    custom: Mapping[str, Any] | None = None
    stats: Sequence[QueryStat] = ()
    notices: Sequence[Notice] = ()
    channel: str = ""
    preferred_visualisation: Visualisation | None = None
    preferred_visualisation_plugin_id: str = ""
    executed_query: str = ""
    data_topic: Literal["", "annotations"] = ""
    unique_row_id_fields: Sequence[int] = ()

    def as_json(self) -> JsonObject:
        """Return the metadata as the SDK's JSON object; `typeVersion` is always there, [0, 0] when untyped."""
        return {
            **drop_unset({"type": None if self.type is None else self.type.value}),
            "typeVersion": [0, 0] if self.type is None else list(self.type_version),
            **drop_unset(
                {
                    "path": self.path,
                    "pathSeparator": self.path_separator,
                    "custom": self.custom,
                    "stats": [stat.as_json() for stat in self.stats],
                    "notices": [notice.as_json() for notice in self.notices],
                    "channel": self.channel,
                    "preferredVisualisationType": self.preferred_visualisation,
                    "preferredVisualisationPluginId": self.preferred_visualisation_plugin_id,
                    "executedQueryString": self.executed_query,
                    "dataTopic": self.data_topic,
                    "uniqueRowIdFields": list(self.unique_row_id_fields),
                }
            ),
        }


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What an encoded frame says about itself besides its fields: name, query, metadata."""

    name: str
    ref_id: str
    meta: FrameMeta | None

"""Data frames: named columns with labels and display options, which is what Grafana draws.

    >>> import pyarrow as pa
    >>> time = Field("time", pa.array([0, 60], pa.timestamp("s")))
    >>> power = Field("power", pa.array([310.5, None]), labels={"user": "alice"}, config=FieldConfig(unit="watt"))
    >>> frame = Frame("usage", [time, power], meta=FrameMeta(type=FrameType.TIMESERIES_WIDE))
    >>> pa.ipc.open_file(frame.to_arrow()).read_all().column("power").to_pylist()
    [310.5, None]
    >>> frame.slice(1, 1).to_json(schema=False)
    b'{"data":{"values":[[60000],[null]]}}'

Everything that is needed to build a frame can be imported from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ceems_grpc.grafana.data import arrow as frame_arrow
from ceems_grpc.grafana.data import json_form as frame_json
from ceems_grpc.grafana.data.columns import Column, SentColumn, column_type, grafana_column
from ceems_grpc.grafana.data.field_config import DataLink, EnumConfig, FieldConfig
from ceems_grpc.grafana.data.metadata import FrameMeta, FrameType, Notice, QueryStat

__all__ = [
    "DataLink",
    "EnumConfig",
    "Field",
    "FieldConfig",
    "Frame",
    "FrameMeta",
    "FrameType",
    "Notice",
    "QueryStat",
]


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a frame.

    `data` may be any Arrow column that `frame_columns.grafana_column` can turn into a type of Grafana's. `labels` tell
    apart fields of one name (wide time series). `nullable` says whether Grafana shall expect nulls: None lets the data
    decide, which spares Grafana a pointer per cell where there are none; set it to True for streams, whose packets must
    all have one shape.
    """

    name: str
    data: Column
    labels: Mapping[str, str] = field(default_factory=dict)
    config: FieldConfig | None = None
    nullable: bool | None = None

    def column(self) -> SentColumn:
        """Return the column as it is sent to Grafana.

        Raises TypeError or ValueError as `grafana_column` does, and ValueError for nulls where `nullable` is False.
        """
        enum = self.config is not None and self.config.enum is not None
        array = grafana_column(self.name, self.data, enum=enum)
        if self.nullable is False and array.null_count:
            raise ValueError(f"field {self.name!r} is said to have no nulls but has {array.null_count}")
        nullable = bool(array.null_count) if self.nullable is None else self.nullable
        return SentColumn(array, column_type(array, enum=enum), nullable)


@dataclass(frozen=True, slots=True)
class Frame:
    """A table of fields, all of one length.

    `ref_id` is the query that the frame answers. Raises ValueError if the lengths differ. Two fields may have the same
    name (their labels tell them apart), and a frame may have no rows or no fields at all.
    """

    name: str
    fields: Sequence[Field] = ()
    meta: FrameMeta | None = None
    ref_id: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))
        if len({len(one.data) for one in self.fields}) > 1:
            lengths = ", ".join(f"{one.name}: {len(one.data)}" for one in self.fields)
            raise ValueError(f"the fields of frame {self.name!r} must have one length, but have {lengths}")

    @property
    def num_rows(self) -> int:
        """Number of rows; 0 for a frame without fields."""
        return len(self.fields[0].data) if self.fields else 0

    def slice(self, offset: int, length: int | None = None) -> Frame:
        """Return rows from `offset` on, at most `length` of them, without copying any data."""
        return replace(self, fields=tuple(replace(one, data=one.data.slice(offset, length)) for one in self.fields))

    def to_arrow(self) -> bytes:
        """Return the frame as an Arrow IPC file, as Grafana's `data.UnmarshalArrowFrame` reads it.

        Raises TypeError or ValueError for a field that Grafana has no type for, naming it.
        """
        return frame_arrow.encode(self)

    def to_json(self, *, schema: bool = True, data: bool = True) -> bytes:
        """Return the frame in Grafana's JSON format: its schema, its data, or both.

        A stream may send the schema once and only data afterwards. Raises as `to_arrow` does, and ValueError for JSON
        fields whose cells are no JSON text.
        """
        return frame_json.encode(self, schema=schema, data=data)

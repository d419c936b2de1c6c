"""Data frames: named columns with labels and display options. Grafana draws panels from them.

>>> import pyarrow as pa
>>> time = Field("time", pa.array([0, 60], pa.timestamp("s")))
>>> power = Field("power", pa.array([310.5, None]), labels={"user": "alice"})
>>> frame = Frame("usage", [time, power])
>>> pa.ipc.open_file(frame.to_arrow()).read_all().column("power").to_pylist()
[310.5, None]
>>> frame.slice(1, 1).to_json(schema=False)
b'{"data":{"values":[[60000],[null]]}}'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ceems_grpc.grafana.data import arrow, json_form
from ceems_grpc.grafana.data.field import Field
from ceems_grpc.grafana.data.metadata import FrameHeader, FrameMeta


@dataclass(frozen=True, slots=True)
class Frame:
    """A table of fields that all have the same length.

    `ref_id` names the query that the frame answers; when it is empty, the server fills it in. Two fields may have the
    same name if their labels differ. A frame may have no rows, or no fields at all. Raises ValueError if the lengths of
    the fields differ.
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
        """Return at most `length` rows, starting at `offset`, without copying data."""
        return replace(self, fields=tuple(replace(one, data=one.data.slice(offset, length)) for one in self.fields))

    def to_arrow(self) -> bytes:
        """Return the frame as an Arrow IPC file that Grafana's `data.UnmarshalArrowFrame` reads.

        Raises TypeError or ValueError, with the field's name, if Grafana has no type for a field.
        """
        return arrow.encode(self._header(), self.fields)

    def to_json(self, *, schema: bool = True, data: bool = True) -> bytes:
        """Return the frame in Grafana's JSON format: its schema, its data, or both.

        A stream may send the schema once and only data afterwards. Raises the errors of `to_arrow`, and ValueError if a
        cell of a JSON field does not hold JSON text.
        """
        return json_form.encode(self._header() if schema else None, self.fields, data=data)

    def _header(self) -> FrameHeader:
        return FrameHeader(self.name, self.ref_id, self.meta)

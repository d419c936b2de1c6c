"""One column of a frame: its name, labels, values and display options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ceems_grpc.grafana.data.columns import Column, SentColumn, column_type, grafana_column
from ceems_grpc.grafana.data.field_config import FieldConfig


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a frame.

    `data` is any Arrow column that `columns.grafana_column` converts to one of Grafana's types. `labels` tell apart
    fields that have the same name (wide time series). `nullable` tells Grafana whether to expect nulls. None decides by
    the data: Grafana then needs no pointer per cell when there are no nulls. Set it to True for streams, because all
    packets of a stream must have one schema.
    """

    name: str
    data: Column
    labels: Mapping[str, str] = field(default_factory=dict)
    config: FieldConfig | None = None
    nullable: bool | None = None

    def column(self) -> SentColumn:
        """Return the column as it is sent to Grafana.

        Raises TypeError or ValueError as `grafana_column` does, and ValueError if `nullable` is False and the column
        has nulls.
        """
        enum = self.config is not None and self.config.type is not None and self.config.type.enum is not None
        array = grafana_column(self.name, self.data, enum=enum)
        if self.nullable is False and array.null_count:
            raise ValueError(f"field {self.name!r} is declared not nullable but has {array.null_count} nulls")
        nullable = bool(array.null_count) if self.nullable is None else self.nullable
        return SentColumn(array, column_type(array, enum=enum), nullable)

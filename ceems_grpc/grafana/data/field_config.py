"""How a field is displayed: unit, decimals, links, colours and the names of enum values.

The structs are the JSON of `FieldConfig` in grafana-plugin-sdk-go (data/field_config.go). Grafana's frontend reads the
same JSON. An option that has its default value is left out.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec import field as struct_field

_MOST_DECIMALS = 2**16 - 1  # the SDK reads decimals as uint16; a larger number fails the whole frame


class DataLink(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A link that a click on a value opens.

    `url` may contain Grafana's variables, such as `${__value.raw}` or `${__data.fields.name}`. `target_blank` opens it
    in a new tab. `internal` describes a query in Explore instead (keys `query`, `datasourceUid`, `datasourceName`).
    """

    title: str = ""
    target_blank: bool = False
    url: str = ""
    internal: dict[str, Any] = {}


class EnumConfig(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The texts of an enum field, whose values are indexes (0 to 65535) into `text`.

    `color`, `icon` and `description` have one entry per text, or none at all.
    """

    text: list[str]
    color: list[str] = []
    icon: list[str] = []
    description: list[str] = []


class TypeConfig(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the Arrow type of a field does not say: `enum` makes a field of whole numbers an enum."""

    enum: EnumConfig | None = None


class FieldConfig(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Display options of one field. Grafana chooses what is left out.

    `unit` is one of Grafana's unit ids ("s", "percent", "bytes", "watth", ...); `min` and `max` are in that unit.
    `interval` is the expected step between the values of a time field, in milliseconds. `display_name` replaces the
    field's name; `display_name_from_ds` does so unless the user has set a display name. `path` is the field's place in
    the source of the data. `no_value` is shown for a null. `mappings`, `thresholds`, `color` and `custom` are Grafana's
    own JSON.

    Raises ValueError if `decimals` is not between 0 and 65535.
    """

    display_name: str = ""
    display_name_from_ds: str = struct_field(default="", name="displayNameFromDS")
    path: str = ""
    description: str = ""
    filterable: bool | None = None
    writeable: bool | None = None
    unit: str = ""
    decimals: int | None = None
    min: float | None = None
    max: float | None = None
    interval: float | None = None
    mappings: list[dict[str, Any]] = []
    thresholds: dict[str, Any] = {}
    color: dict[str, Any] = {}
    links: list[DataLink] = []
    no_value: str = ""
    type: TypeConfig | None = None
    custom: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.decimals is not None and not 0 <= self.decimals <= _MOST_DECIMALS:
            raise ValueError(f"decimals must be a whole number from 0 to {_MOST_DECIMALS}, not {self.decimals}")

"""How a field is displayed: unit, decimals, links, colours and the names of enum values.

The JSON names are those of `FieldConfig` in grafana-plugin-sdk-go (data/field_config.go), which is also what Grafana's
frontend reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

JsonObject = dict[str, Any]

_DECIMALS_LIMIT = 2**16  # the SDK reads decimals as uint16, and a number beyond that fails the whole frame


def drop_unset(values: Mapping[str, Any]) -> JsonObject:
    """Return `values` without what is unset: None, "", and empty collections. False and 0 stay."""
    return {
        key: value
        for key, value in values.items()
        if value is not None and not (isinstance(value, (str, Mapping, list, tuple)) and not value)
    }


@dataclass(frozen=True, slots=True)
class DataLink:
    """A link that a click on a value opens.

    `url` may hold Grafana's variables, such as `${__value.raw}` or `${__data.fields.name}`. `internal` describes a
    query in Explore instead (keys `query`, `datasourceUid`, `datasourceName`).
    """

    title: str
    url: str
    target_blank: bool = True
    internal: Mapping[str, Any] | None = None

    def as_json(self) -> JsonObject:
        """Return the link as Grafana's JSON object."""
        return drop_unset(
            {
                "title": self.title,
                "targetBlank": self.target_blank or None,
                "url": self.url,
                "internal": self.internal,
            }
        )


@dataclass(frozen=True, slots=True)
class EnumConfig:
    """The texts of an enum field, whose values are indexes (0 to 65535) into `text`.

    `color`, `icon` and `description` are parallel to `text`, or empty.
    """

    text: Sequence[str]
    color: Sequence[str] = ()
    icon: Sequence[str] = ()
    description: Sequence[str] = ()

    def as_json(self) -> JsonObject:
        """Return the enum as Grafana's JSON object; `text` is always there."""
        more = {"color": self.color, "icon": self.icon, "description": self.description}
        return {"text": list(self.text), **drop_unset({key: list(value) for key, value in more.items()})}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldConfig:
    """Display options of one field; what is left out is Grafana's own choice.

    `unit` is one of Grafana's unit ids ("s", "percent", "bytes", "watth", ...). `interval` is the expected step between
    values in milliseconds (time fields). `min` and `max` are in the field's unit. `enum` makes the field an enum: its
    values must be whole numbers then. `thresholds`, `color`, `mappings` and `custom` are Grafana's own JSON.

    Raises ValueError for `decimals` outside 0 to 65535.
    """

    display_name: str = ""
    display_name_from_ds: str = ""
    path: str = ""
    description: str = ""
    unit: str = ""
    decimals: int | None = None
    min: float | None = None
    max: float | None = None
    interval: float | None = None
    filterable: bool | None = None
    writeable: bool | None = None
    links: Sequence[DataLink] = ()
    no_value: str = ""
    thresholds: Mapping[str, Any] | None = None
    color: Mapping[str, Any] | None = None
    mappings: Sequence[Mapping[str, Any]] | None = None
    enum: EnumConfig | None = None
    custom: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.decimals is not None and not 0 <= self.decimals < _DECIMALS_LIMIT:
            raise ValueError(f"decimals must be a whole number from 0 to {_DECIMALS_LIMIT - 1}, not {self.decimals}")

    def as_json(self) -> JsonObject:
        """Return the options as Grafana's JSON object, without those that are unset."""
        return drop_unset(
            {
                "displayName": self.display_name,
                "displayNameFromDS": self.display_name_from_ds,
                "path": self.path,
                "description": self.description,
                "filterable": self.filterable,
                "writeable": self.writeable,
                "unit": self.unit,
                "decimals": self.decimals,
                "min": self.min,
                "max": self.max,
                "interval": self.interval,
                "mappings": self.mappings,
                "thresholds": self.thresholds,
                "color": self.color,
                "links": [link.as_json() for link in self.links],
                "noValue": self.no_value,
                "type": None if self.enum is None else {"enum": self.enum.as_json()},
                "custom": self.custom,
            }
        )

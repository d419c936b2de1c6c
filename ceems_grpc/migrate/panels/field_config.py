"""Display settings of a panel: they keep precedence over the settings that our fields bring."""

from collections.abc import Sequence

from ceems_grpc.migrate.json_parts import as_object, objects
from ceems_grpc.migrate.queries.fields import QueryField
from ceems_grpc.migrate.queries.target import Rewritten
from ceems_grpc.migrate.report import Json
from ceems_grpc.panels.frames import UNITS
from ceems_grpc.schema import Kind, Unit

_KINDS = {Kind.METRIC, Kind.DERIVED, Kind.TIME, Kind.COUNT}
_PERCENT_RANGE = {"min": 0, "max": 100}


def rewrite_field_config(panel: Json, rewritten: Sequence[Rewritten], *, renames: bool) -> None:
    """Add overrides to the panel's field configuration.

    In Grafana, a field's own unit, range and name take precedence over the panel's defaults, and overrides over both.
    ``renames``: the panel's transformations rename fields.
    """
    fields = [field for query in rewritten for field in query.fields]
    defaults = as_object(as_object(panel.get("fieldConfig")).get("defaults"))
    properties = [{"id": key, "value": defaults[key]} for key in _outvoted(defaults, fields, renames=renames)]
    front: list[Json] = []
    if properties:
        front.append({"matcher": {"id": "byRegexp", "options": "/.*/"}, "properties": properties})
    front += [override for query in rewritten for override in query.overrides]
    if front:
        config = as_object(panel.get("fieldConfig")) or {"defaults": {}, "overrides": []}
        panel["fieldConfig"] = config | {"overrides": [*front, *objects(config.get("overrides"))]}


def _outvoted(defaults: Json, fields: Sequence[QueryField], *, renames: bool) -> list[str]:
    """Return the defaults of the panel that the settings of our fields would hide."""
    units = {unit for field in fields if field.column.kind in _KINDS for unit in _units(field)}
    found: list[str] = []
    if defaults.get("unit") and any(UNITS[unit] != defaults["unit"] for unit in units if unit is not Unit.NONE):
        found.append("unit")
    if Unit.PERCENT in units:
        found += [key for key, own in _PERCENT_RANGE.items() if defaults.get(key) not in (None, own)]
    if defaults.get("displayName") and renames:
        found.append("displayName")
    return found


def _units(field: QueryField) -> set[Unit]:
    if field.is_number and field.column.kind is Kind.TIME:
        return set()
    if not field.is_object:
        return {field.column.unit_of(field.column.key_in(field.name))}
    return {field.column.unit, field.column.unit_of("bytes"), field.column.unit_of("alloc_cpumemtime")}

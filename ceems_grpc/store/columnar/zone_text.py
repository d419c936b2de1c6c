"""Time zones as texts, for other processes and other hosts."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from ceems_grpc.store.columnar.layout import CannotMirrorError
from ceems_grpc.store.columnar.local_time import SEVERAL_ZONES, named_zone

_MACHINE_ZONE = "/etc/localtime"


def text_of_zone(zone: tzinfo) -> str:
    """Write a zone so that `zone_of_text` can read it in another process on this host."""
    if isinstance(zone, ZoneInfo):
        return zone.key or _MACHINE_ZONE
    offset = zone.utcoffset(None)
    if offset is None:
        raise CannotMirrorError(f"the zone {zone} has no name")
    return f"{int(offset.total_seconds()):+d}"


def zone_of_text(text: str) -> tzinfo:
    """Read a zone that `text_of_zone` wrote."""
    if text[:1] in "+-":
        return timezone(timedelta(seconds=int(text))) if int(text) else UTC
    with contextlib.suppress(ValueError, OSError, KeyError):
        return ZoneInfo(text)
    with Path(_MACHINE_ZONE).open("rb") as file:
        return ZoneInfo.from_file(file, key=text)


def write_zone(zone: tzinfo) -> str:
    """Write a zone so that another host can read it: by name, or by its current offset if it has no name."""
    if zone == SEVERAL_ZONES and str(zone) == str(SEVERAL_ZONES):
        return str(zone)
    name = zone.key if isinstance(zone, ZoneInfo) else str(zone)
    if named_zone(name) is not None:
        return name
    if isinstance(zone, ZoneInfo):  # the zone of this host, which /etc/localtime names
        name = str(Path("/etc/localtime").resolve()).rpartition("zoneinfo/")[2]
        if named_zone(name) is not None:
            return name
    offset = datetime.now(zone).utcoffset() or timedelta()
    return f"{int(offset.total_seconds()):+d}"


def read_zone(text: str) -> tzinfo:
    """Read a zone that `write_zone` wrote. Raises `ValueError` if this host does not know it."""
    if text == str(SEVERAL_ZONES):
        return SEVERAL_ZONES
    if text[:1] in {"+", "-"}:
        return timezone(timedelta(seconds=int(text)))
    zone = named_zone(text)
    if zone is None:
        raise ValueError(f"no zone '{text[:100]}'")
    return zone

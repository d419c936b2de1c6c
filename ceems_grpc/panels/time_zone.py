"""The time zone of a query, as browsers and Grafana write it: an IANA name, a name of UTC, or an offset."""

import re
from typing import Final
from zoneinfo import ZoneInfo

from ceems_grpc.domain.errors import bad_data
from ceems_grpc.store.columnar.local_time import named_zone

# The names that browsers and Grafana write for UTC, and for a zone that they do not know.
_UTC: Final = re.compile(
    r"(etc/)?(utc|uct|gmt([+-]?0)?|zulu|universal|greenwich|unknown)|z|browser|undefined|null", re.IGNORECASE
)
# Only a browser knows the viewer's zone. Public dashboards and rules send the name of the variable instead.
_VIEWER: Final = {"$__timezone", "${__timezone}", "[[__timezone]]"}
_OFFSET: Final = re.compile(r"(?:utc|gmt)?([+-])(\d{1,2})(?::?(\d\d))?", re.IGNORECASE)
# Stores know zones by name only. The names Etc/GMT+12 to Etc/GMT-14 cover whole hours. For the offsets below, the IANA
# database only has the names of places that keep the offset all year.
_PLACES: Final = {
    "+0430": "Asia/Kabul",
    "+0530": "Asia/Kolkata",
    "+0545": "Asia/Kathmandu",
    "+0630": "Asia/Yangon",
    "+0930": "Australia/Darwin",
    "-0930": "Pacific/Marquesas",
}


def query_zone(name: str) -> ZoneInfo | None:
    """Return the zone of that name or offset (`+02:00`, east of Greenwich), or None for no zone.

    An empty text and the variable of the viewer's zone mean no zone. The names that browsers use for UTC, or for a
    zone that they do not know, mean UTC. Raises QuestionError for an unknown zone.
    """
    if name in _VIEWER:
        return None
    zone = named_zone(_iana_name(name))
    if zone is None and name:
        raise bad_data(f"unknown time zone '{name}': use an IANA name such as Europe/Paris")
    return zone


def _iana_name(name: str) -> str:
    if _UTC.fullmatch(name):
        return "UTC"
    offset = _OFFSET.fullmatch(name)
    if offset is None:
        return name
    sign, hours, minutes = offset[1], int(offset[2]), offset[3] or "00"
    if minutes != "00":
        return _PLACES.get(f"{sign}{hours:02}{minutes}", name)
    # The signs of these names are reversed: Etc/GMT-2 is two hours ahead of UTC.
    return f"Etc/GMT{'-' if sign == '+' else '+'}{hours}" if hours else "UTC"

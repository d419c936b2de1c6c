"""Convert between moments and the local times without an offset that CEEMS writes (``2026-11-23T10:37:30``).

Once a year, a local hour occurs twice, and a text in that hour can mean two moments. It means the first one unless the
unit ended after it, because the last update of an ended unit is not before its end.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

LAYOUT = "%Y-%m-%dT%H:%M:%S"
SEVERAL_ZONES = timezone(timedelta(0), "several zones")
"""The zone of a store whose sites use different zones. Steps of time follow UTC there."""
_DAY = 86_400
_FIRST, _LAST = -62_000_000_000, 253_370_764_800  # years 5 and 9999

# Zones to try, in this order, when a zone is guessed from offsets. Other zones must be configured.
_LIKELY_ZONES = (
    "Europe/Paris", "Europe/London", "Europe/Helsinki", "Europe/Lisbon", "Europe/Istanbul", "Europe/Moscow",
    "America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles",
    "America/Halifax", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo", "Asia/Singapore",
    "Asia/Jerusalem", "Australia/Sydney", "Australia/Brisbane", "Australia/Adelaide", "Pacific/Auckland",
    "Africa/Johannesburg", "UTC",
)  # fmt: skip


def named_zone(name: str) -> ZoneInfo | None:
    """Return the IANA zone of that name, or None if there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return None


def local_text(moment: int, zone: tzinfo) -> str:
    """Write a moment (seconds since the epoch) as CEEMS writes local times."""
    return datetime.fromtimestamp(_within_years(moment), zone).strftime(LAYOUT)


def moment_of(zone: tzinfo) -> Callable[[str | None, int | None], int | None]:
    """Return a function from (local text, end of the unit in ms or 0) to seconds since the epoch.

    It returns None for a text that is not a time, and for a time before 1970.
    """

    @lru_cache(maxsize=100_000)
    def both(text: str) -> tuple[int, int] | None:
        try:
            naive = datetime.strptime(text, LAYOUT)  # noqa: DTZ007 - the zone is put on below
        except ValueError:
            return None
        first, second = (int(naive.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
        return (first, second) if first >= 0 else None

    def moment(text: str | None, ended_ms: int | None) -> int | None:
        # A column may hold anything; long texts are not kept.
        pair = both(text[:19]) if isinstance(text, str) else None
        if pair is None:
            return None
        first, second = pair
        return second if ended_ms and ended_ms // 1000 > first else first

    return moment


def is_ambiguous_bound(moment: int, zone: tzinfo) -> bool:
    """Return whether clocks go back near a moment, so that local texts do not sort in the order of their moments."""
    around = (datetime.fromtimestamp(_within_years(moment + shift), zone) for shift in (-_DAY, _DAY))
    before, after = (local.utcoffset() or timedelta() for local in around)
    return after < before


def _within_years(moment: int) -> int:
    """Return the nearest moment that has a date in every time zone."""
    return min(max(moment, _FIRST), _LAST)


def zone_fits(zone: tzinfo, samples: list[tuple[int, str]]) -> bool:
    """Return whether the zone had each sample's offset (``+0100``) at the sample's moment."""
    return all(datetime.fromtimestamp(moment, zone).strftime("%z") == offset for moment, offset in samples)


def guess_zone(samples: list[tuple[int, str]]) -> tzinfo:
    """Guess the site's zone from (moment, offset) pairs of its rows.

    The first zone that fits is taken: that of this machine, which is usually at the same site; a well-known zone; the
    fixed offset if all pairs have the same one; otherwise UTC.
    """
    samples = [sample for sample in samples if _FIRST <= sample[0] <= _LAST]
    if not samples:
        return _machine_zone() or UTC
    machine = _machine_zone()
    for zone in ([machine] if machine else []) + [ZoneInfo(name) for name in _LIKELY_ZONES]:
        if zone_fits(zone, samples):
            return zone
    offsets = {offset for _, offset in samples}
    if len(offsets) == 1:
        with suppress(ValueError):  # a column may hold anything
            return datetime.strptime(offsets.pop(), "%z").tzinfo or UTC
    return UTC


def _machine_zone() -> tzinfo | None:
    """Return the zone of /etc/localtime. None if it is missing or is UTC, which says nothing about the site."""
    try:
        with open("/etc/localtime", "rb") as file:  # noqa: PTH123 - a fixed file, read once
            zone = ZoneInfo.from_file(file, key="machine")
    except (OSError, ValueError):
        return None
    return None if zone.utcoffset(datetime(2024, 7, 1)) == timedelta() else zone  # noqa: DTZ001 - naive on purpose

"""Moments as people type them: `now-30d`, a date, a date with a time, or a number."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from ceems_grpc.cli.errors import CommandError

_RELATIVE = re.compile(r"now(?:([+-])(\d{1,6})([smhdw]))?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MILLISECONDS_FROM = 10**11  # as in the CEEMS API: as seconds, this would be the year 5138


def moment(text: str, now: datetime, zone: tzinfo = UTC, *, end: bool = False) -> datetime:
    """Return the moment that a text means, in UTC.

    ``now`` is aware. A date or time without an offset is local time in ``zone``, the site's. A date without a time is
    the first moment of that day, or with ``end`` its last second. A number is seconds since 1970, or milliseconds if
    it has 12 digits or more. Raises `CommandError` for anything else.
    """
    text = text.strip()
    try:
        if match := _RELATIVE.fullmatch(text):
            sign, amount, unit = match.groups()
            shift = timedelta(**{_UNITS[unit]: int(amount)}) if unit else timedelta()
            return (now - shift if sign == "-" else now + shift).astimezone(UTC)
        if text.isdecimal() and len(text) >= 9:
            number = int(text)
            return datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS_FROM else number, UTC)
        return _absolute(text, zone, end=end).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise CommandError(
            f"'{text}' is not a time: use now, now-30d (s, m, h, d, w), 2026-11-23, 2026-11-23T08:00 or milliseconds."
        ) from None


def needs_zone(text: str) -> bool:
    """Return whether the text may be a date, whose moment depends on a zone."""
    return bool(_DATE.match(text.strip()))


def _absolute(text: str, zone: tzinfo, *, end: bool) -> datetime:
    if not _DATE.match(text):
        raise ValueError(text)
    if len(text) == len("2026-11-23"):
        return datetime.combine(date.fromisoformat(text), time(23, 59, 59) if end else time(), zone)
    typed = datetime.fromisoformat(text)
    return typed if typed.tzinfo else typed.replace(tzinfo=zone)

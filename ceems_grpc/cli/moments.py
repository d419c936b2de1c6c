"""Moments as people type them: `now-30d`, a date, a date with a time, or a number."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from ceems_grpc.cli.errors import CommandError

_RELATIVE = re.compile(r"now(?:([+-])(\d{1,6})([smhdw]))?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MILLISECONDS_FROM = 10**11  # as in the CEEMS API: so many seconds would be the year 5138


def moment(text: str, now: datetime, zone: tzinfo | None = None, *, end: bool = False) -> datetime:
    """Return the moment that a text means, in UTC.

    ``now`` is aware. A date without an offset is local time in ``zone`` (None: the machine's); a date without a time is
    its first moment, or with ``end`` its last second. A number is seconds since 1970, from 11 digits on milliseconds.
    Raises `CommandError` for anything else.
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
        return _absolute(text, end=end, zone=zone).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise CommandError(
            f"'{text}' is no moment: use now, now-30d (s, m, h, d, w), 2026-11-23, 2026-11-23T08:00 or milliseconds."
        ) from None


def _absolute(text: str, *, end: bool, zone: tzinfo | None) -> datetime:
    if not _DATE.match(text):
        raise ValueError(text)
    if len(text) == len("2026-11-23"):
        local = datetime.combine(date.fromisoformat(text), time(23, 59, 59) if end else time())
    else:
        local = datetime.fromisoformat(text)
    # A naive datetime is taken as the machine's local time by astimezone().
    return local if local.tzinfo or zone is None else local.replace(tzinfo=zone)

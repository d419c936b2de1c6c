"""Values as a person reads them, in the units that the plugin names to Grafana."""

from datetime import UTC, datetime, tzinfo

from ceems_grpc.cli.output.escaping import visible

_GRAMS = ((1e6, "t"), (1e3, "kg"), (1.0, "g"))
_BYTES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
_SECONDS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
_KWH = ((1e6, "GWh"), (1e3, "MWh"), (1.0, "kWh"), (1e-3, "Wh"))
_PLAIN = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, ""), (1.0, ""))
_SCALES = {"massg": _GRAMS, "bytes": _BYTES, "s": _SECONDS, "kwatth": _KWH}
_LARGE = 1e6
_SUFFIX = "suffix: "


def text_of(value: object, unit: str = "", zone: tzinfo = UTC) -> str:
    """Write one value to about three significant digits, with its unit. None is an empty text.

    ``unit`` is one of Grafana's unit ids (``kwatth``, ``massg``, ``s``, ``bytes``, ``percent``, ``short``,
    ``suffix: x``). Moments are written to the minute, in ``zone``. Control characters are written as escapes.
    """
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{in_zone(value, zone):%Y-%m-%d %H:%M}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return visible(" ".join((value.decode() if isinstance(value, bytes) else str(value)).split()))
    if unit == "percent":
        return f"{value:.1f} %"
    if unit.startswith(_SUFFIX):
        return f"{_scaled(value, _PLAIN)} {visible(unit.removeprefix(_SUFFIX))}"
    if unit in _SCALES:
        return _scaled(value, _SCALES[unit])
    if isinstance(value, int) or (unit == "short" and value.is_integer() and abs(value) < _LARGE):
        return f"{int(value):,}"  # a count
    return _scaled(value, _PLAIN)


def in_zone(moment: datetime, zone: tzinfo) -> datetime:
    """Return the moment in a zone. Raises ValueError if it does not say which moment it is: if it has no zone itself.

    `datetime.astimezone` would take such a moment as local time of this machine.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"The moment {moment} has no time zone.")
    return moment.astimezone(zone)


def iso_text(moment: datetime, zone: tzinfo) -> str:
    """Write a moment as ``2026-11-23T09:37:30Z``, or with its offset in another zone; milliseconds if it has any."""
    local = in_zone(moment, zone)
    text = local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")
    return text.replace("+00:00", "Z") if zone is UTC else text


def _scaled(value: float, scale: tuple[tuple[float, str], ...]) -> str:
    if value == 0:
        return f"0 {dict(scale).get(1.0, '')}".rstrip()
    factor, name = next(((factor, name) for factor, name in scale if abs(value) >= factor), scale[-1])
    return f"{digits(value / factor)} {name}".rstrip()


def digits(number: float) -> str:
    """Write a number to at least three significant digits, with an exponent only if it is tiny."""
    size = abs(number)
    if size >= 100:
        return f"{number:,.0f}"
    if size >= 10:
        return f"{number:.1f}"
    return f"{number:.2f}" if size >= 1 else f"{number:.3g}"

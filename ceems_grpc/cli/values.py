"""Values as a person reads them, in the units that the plugin names to Grafana."""

from datetime import UTC, datetime

_GRAMS = ((1e6, "t"), (1e3, "kg"), (1.0, "g"))
_BYTES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
_SECONDS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
_KWH = ((1e6, "GWh"), (1e3, "MWh"), (1.0, "kWh"), (1e-3, "Wh"))
_PLAIN = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, ""), (1.0, ""))
_SCALES = {"massg": _GRAMS, "bytes": _BYTES, "s": _SECONDS, "kwatth": _KWH}
_LARGE = 1e6
_SUFFIX = "suffix: "


def text_of(value: object, unit: str = "") -> str:
    """Write one value in about three digits with its unit; None is an empty text.

    ``unit`` is a unit id of Grafana's (``kwatth``, ``massg``, ``s``, ``bytes``, ``percent``, ``short``, ``suffix: x``).
    Moments are written in UTC without seconds, midnights as a date only.
    """
    if value is None:
        return ""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        return f"{moment:%Y-%m-%d %H:%M}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if unit == "percent":
        return f"{value:.1f} %"
    if unit.startswith(_SUFFIX):
        return f"{_scaled(value, _PLAIN)} {unit.removeprefix(_SUFFIX)}"
    if unit in _SCALES:
        return _scaled(value, _SCALES[unit])
    if isinstance(value, int) or (unit == "short" and value.is_integer() and abs(value) < _LARGE):
        return f"{int(value):,}"  # a count
    return _scaled(value, _PLAIN)


def _scaled(value: float, scale: tuple[tuple[float, str], ...]) -> str:
    if value == 0:
        return f"0 {dict(scale).get(1.0, '')}".rstrip()
    factor, name = next(((factor, name) for factor, name in scale if abs(value) >= factor), scale[-1])
    return f"{digits(value / factor)} {name}".rstrip()


def digits(number: float) -> str:
    """Write a number with at least three digits that count, never with an exponent unless it is tiny."""
    size = abs(number)
    if size >= 100:
        return f"{number:,.0f}"
    if size >= 10:
        return f"{number:.1f}"
    return f"{number:.2f}" if size >= 1 else f"{number:.3g}"

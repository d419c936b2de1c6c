"""The values of JSON objects that a name can mean, and the keys that an engine's path can name."""

import json
import re
from collections.abc import Mapping
from typing import Any

# SQLite compares a path with the written form of a key. Writers may escape any other character (Go escapes <, > and &);
# keys with such characters are looked up with json_each, which decodes them.
AS_PATH = re.compile(r"[A-Za-z0-9 _.:/@#$%*+=,;!?~^|(){}\[\]-]+")
_MOST_PATHS = 9  # each is a part of a statement


def paths_of(name: str) -> tuple[tuple[str, ...], ...]:
    """Return the paths that a name in an object can mean. The first one with a value wins; null is not a value.

    The exact key comes first. Then each dot can end a key whose value is an object that has the rest of the name as a
    key: ``labels.app.io/name`` also means ``labels``, ``app.io/name``.
    """
    dots = [at for at, letter in enumerate(name) if letter == "." and 0 < at < len(name) - 1]
    nested = tuple((name[:at], name[at + 1 :]) for at in dots[: _MOST_PATHS - 1])
    return ((name,), *nested)


def value_at(found: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value that a name means in an object; None if there is none."""
    for first, *rest in paths_of(name):
        value = found.get(first)
        if rest:
            value = value.get(rest[0]) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def canonical(text: str | None) -> str | None:
    """Write a JSON object or array so that equal values give equal texts. None for other values."""
    if text is None or text[:1] not in {"{", "["}:
        return None
    try:
        return json.dumps(json.loads(text, parse_float=_number), sort_keys=True)
    except (ValueError, RecursionError):
        return None


def _number(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number

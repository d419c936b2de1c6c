"""The query strings of the API: parsing into typed values, with the API's errors."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from ceems_grpc.domain.answers.suggestions import MOST
from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.limits import MOST_CHARACTERS, MOST_VALUES
from ceems_grpc.domain.questions.model import AsAdmin
from ceems_grpc.domain.questions.window import Window, make_window, seconds_of

MOST_BYTES = 512 * 1024
MOMENTS = range(-(2**63), 2**63)
"""The integers that the API accepts as timestamps."""
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")
_INTEGER = re.compile(r"[+-]?[0-9]+")

Parameters = Mapping[str, tuple[str, ...]]


def parse_query(query: str) -> Parameters:
    """Split a query string into the values of each parameter, in their order.

    Raises bad_data for bytes that are not UTF-8, for a lone surrogate, for NUL, for more than 5,000 values of a
    parameter, and for a value of more than 1,000 characters.
    """
    if len(query) > MOST_BYTES:
        raise bad_data(f"the query string is longer than {MOST_BYTES} bytes")
    if _HALF_OF_A_PAIR.search(query):
        raise bad_data("the query string has half of a surrogate pair, which is not a character")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=4 * MOST_VALUES)
    except UnicodeDecodeError:
        raise bad_data("the query string is not valid UTF-8") from None
    except ValueError:
        raise bad_data(f"too many parameters; at most {4 * MOST_VALUES}") from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise bad_data(f"query parameter '{name[:50]}': NUL is not allowed".replace("\0", "?"))
        if len(value) > MOST_CHARACTERS:
            raise bad_data(f"query parameter '{name[:50]}': a value is longer than {MOST_CHARACTERS} characters")
        values.setdefault(name, []).append(value)
    for name, found in values.items():
        if len(found) > MOST_VALUES:
            raise bad_data(f"query parameter '{name[:50]}': {len(found)} values; at most {MOST_VALUES}")
    return {name: tuple(found) for name, found in values.items()}


def window_of(parameters: Parameters, now: int) -> Window:
    """Read ``from`` and ``to``, in seconds or milliseconds."""
    return make_window(_moment(parameters, "from"), _moment(parameters, "to"), now)


def _moment(parameters: Parameters, name: str) -> int | None:
    text = next(iter(parameters.get(name, ())), "")
    if not text:
        return None
    if _INTEGER.fullmatch(text) and int(text) in MOMENTS:
        return seconds_of(int(text))
    raise bad_data(f"query parameter '{name}': malformed timestamp")


def flag(parameters: Parameters, name: str) -> bool:
    """Return whether a switch is present, with any value or none."""
    return name in parameters


def first(parameters: Parameters, name: str) -> str:
    """Return the first value of a parameter, or an empty text."""
    return next(iter(parameters.get(name, ())), "")


def count(parameters: Parameters, name: str, default: int) -> int:
    """Read a number of suggestions."""
    text = first(parameters, name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= MOST):
        raise bad_data(f"query parameter '{name}': must be a whole number from 1 to {MOST}")
    return int(text)


def as_admin(parameters: Parameters, name: str) -> AsAdmin:
    """Read whether to ask as an administrator. The default is auto."""
    match first(parameters, name):
        case "" | "auto":
            return "auto"
        case "true":
            return True
        case "false":
            return False
    raise bad_data(f"query parameter '{name}': must be true, false or auto")

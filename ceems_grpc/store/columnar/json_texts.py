"""Forms of the texts in JSON columns: the empty ones, and the form in which the API writes the others."""

import json
import re
from typing import Any

EMPTY_OBJECTS = ("{}", "", "null")
"""The texts of JSON columns that hold no keys, besides no text at all."""
EMPTY_VALUES = (*EMPTY_OBJECTS, "[]")
"""The texts of JSON columns that answers leave out."""

API_NUMBER = r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,8})?"
"""Matches a number as the API writes it, except for zeros at the end."""
_ITEM = rf'"[A-Za-z0-9_.:/ -]+":{API_NUMBER}'
API_METRIC = rf"\{{{_ITEM}(?:,{_ITEM})*\}}"
"""Matches an object of such numbers."""
HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")
"""Matches half of a surrogate pair in a decoded text."""


def lenient(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Decode JSON that a strict decoder refuses: NaN and Infinity, and half of a surrogate pair.

    Such a half is no character; U+FFFD stands for it, as in Go's encoding/json. Raises ValueError for other texts.
    """
    try:
        found = json.loads(text)
        return json.loads(HALF_OF_A_PAIR.sub("\ufffd", json.dumps(found, ensure_ascii=False)))
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error

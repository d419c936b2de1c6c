"""Names from a database, made safe to print.

Anybody may name a job, so a name may hold escape sequences that move the cursor, erase lines or hide a link behind a
text, and marks that reverse the reading direction. A terminal must only ever get characters that it draws.
"""

import json
import re
import unicodedata

# Spreadsheets read a cell that starts with one of these as a formula, the full-width forms included.
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")  # noqa: RUF001 - full-width on purpose


def visible(text: str) -> str:
    r"""Return the text with every character that is not drawn written as an escape: ``\x1b``, ``\u202e``, ``\n``.

    Spaces of all widths stay. Backslashes are not doubled: the result is for reading, not for decoding.
    """
    if text.isprintable():
        return text
    return "".join(one if _is_drawn(one) else one.encode("unicode_escape").decode() for one in text)


def visible_lines(text: str) -> str:
    """Return the same for a text of several lines, whose line ends stay."""
    return "\n".join(map(visible, text.split("\n")))


def visible_json(text: str) -> str:
    r"""Return a JSON text in which such characters are written as JSON's own ``\u`` escapes: the value is the same."""
    if text.isprintable():
        return text
    return "".join(one if _is_drawn(one) else json.dumps(one)[1:-1] for one in text)


def without_formula(text: str) -> str:
    """Return the text behind an apostrophe if a spreadsheet would read it as a formula, otherwise as it is."""
    return f"'{text}" if _FORMULA.match(text) else text


def _is_drawn(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"

"""The findings of a migration: what it left unchanged, and what the reader should check."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
"""A JSON object. Dashboards have no fixed shape."""

INFINITY = "yesoreyeram-infinity-datasource"
CEEMS = "ceems-ceems-datasource"


class CannotRewriteError(Exception):
    """A part of a dashboard cannot be rewritten. The message names the part and the reason."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. ``left``: the part was not rewritten; otherwise it was, and ``why`` is a note about it."""

    where: str
    what: str
    why: str
    left: bool

    def __str__(self) -> str:
        """Return the finding as one line."""
        return f"{'not rewritten' if self.left else 'note'}: {self.where}: {self.what}: {self.why}"

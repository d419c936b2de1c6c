"""What a migration has to say: what it left as it was, and what the reader should look at."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
"""A JSON object; dashboards have no fixed shape."""

INFINITY = "yesoreyeram-infinity-datasource"
CEEMS = "ceems-ceems-datasource"


class CannotRewriteError(Exception):
    """A part of a dashboard has no counterpart; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark. ``left``: the part was not rewritten; else it was, and the reader should know something about it."""

    where: str
    what: str
    why: str
    left: bool

    def __str__(self) -> str:
        """Return the remark as one line."""
        return f"{'not rewritten' if self.left else 'note'}: {self.where}: {self.what}: {self.why}"

"""What an answer lacks because a source could not be queried."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ceems_grpc.store.errors import StoreBusyError
from ceems_grpc.store.protocols import Reader

_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Missing:
    """A source that is left out of an answer.

    ``reason``: safe to show to anybody. ``detail``: for administrators and logs. ``clusters``: the clusters that the
    source held when it last answered; None if that is not known.
    """

    source: str
    reason: str
    detail: str
    clusters: tuple[str, ...] | None
    busy: bool = False

    @property
    def sentence(self) -> str:
        """What is missing and why, for anybody."""
        return self._sentence(self.reason)

    @property
    def detailed(self) -> str:
        """What is missing and why, for administrators."""
        return self._sentence(self.detail)

    def _sentence(self, reason: str) -> str:
        if self.clusters is None:
            held = ""
        elif not self.clusters:
            held = " (no clusters so far)"
        else:
            more = len(self.clusters) - _MOST_NAMED
            names = ", ".join(self.clusters[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
            held = f" ({'cluster' if len(self.clusters) == 1 else 'clusters'} {names})"
        return f"Rows of source '{self.source}'{held} are missing: {_within_a_sentence(reason)}"


def _within_a_sentence(reason: str) -> str:
    word = reason.partition(" ")[0]
    is_name = any(letter.isupper() for letter in word[1:])  # such as PostgreSQL
    return reason if is_name else f"{reason[:1].lower()}{reason[1:]}"


@runtime_checkable
class Partial(Protocol):
    """A reader whose answers can lack the rows of a source."""

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What the answers so far lack."""
        ...


def require_whole(reader: Reader) -> None:
    """Raise `StoreBusyError` if a source is missing, because rows that were not found may be there."""
    missing = missing_of(reader)
    if missing:
        said, detailed = (" ".join(texts) for texts in zip(*((m.sentence, m.detailed) for m in missing), strict=True))
        raise StoreBusyError(said, detailed)


def missing_of(reader: Reader) -> tuple[Missing, ...]:
    """Return what the answers of a reader lack so far; nothing for a reader of a single source."""
    return reader.missing if isinstance(reader, Partial) else ()

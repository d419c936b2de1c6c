"""An account of what a question did: which statements ran where and for how long, and what it waited for.

Whoever wants to know opens an account around a question, and the stores enter what they do. An account belongs to the
context (`contextvars`) in which it was opened, and so to all tasks and threads that are started from there. Where no
account is open, entering costs a look at a context variable.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

_LONGEST_TEXT = 1_000  # characters of a parameter that are kept
_LONGEST_LIST = 50  # values of a list parameter that are kept

Parameters = Sequence[object] | Mapping[str, object]


@dataclass(slots=True)
class Statement:
    """A statement that ran: in which store, on which engine, since when (seconds since 1970), for how many seconds.

    ``store`` is what an answer calls the place ("mirror", "database", or a source's name before that). ``parameters``
    are shortened: lists may hold all users of a site.
    """

    store: str
    engine: str
    text: str
    parameters: Parameters
    began: float = field(default_factory=time.time)
    seconds: float = 0.0
    rows: int = 0

    def ran(self, since: float, rows: int = 0) -> None:
        """Add the time since then (of `time.perf_counter`), and the rows that came in it."""
        self.seconds += time.perf_counter() - since
        self.rows += rows


@dataclass(slots=True)
class Account:
    """What a question did. ``waited``: seconds in queues. ``kept_for``: how old the answer is, None where it is new.

    ``shared``: it was made for somebody who asked the same at the same time. ``earlier``: the statements by which an
    answer was made that is kept or shared.
    """

    statements: list[Statement] = field(default_factory=list)
    waited: float = 0.0
    kept_for: float | None = None
    shared: bool = False
    earlier: list[Statement] = field(default_factory=list)

    @property
    def stores(self) -> tuple[str, ...]:
        """Where the statements ran, each place once, in order."""
        return tuple(dict.fromkeys(statement.store for statement in self.statements))

    @property
    def engine_seconds(self) -> float:
        """Seconds of all statements together."""
        return sum(statement.seconds for statement in self.statements)


_open: ContextVar[Account | None] = ContextVar("ceems_account", default=None)
_source: ContextVar[str] = ContextVar("ceems_source", default="")


@contextmanager
def account() -> Iterator[Account]:
    """Open an account for what is done within, and by tasks that are started within."""
    opened = Account()
    token = _open.set(opened)
    try:
        yield opened
    finally:
        _open.reset(token)


@contextmanager
def of_source(name: str) -> Iterator[None]:
    """Enter what is done within under a source's name; "" is none."""
    token = _source.set(name)
    try:
        yield
    finally:
        _source.reset(token)


def enter(store: str, engine: str, text: str, parameters: Parameters = ()) -> Statement:
    """Enter a statement that begins now; its `Statement.ran` says how it goes."""
    opened = _open.get()
    if opened is None:
        return Statement(store, engine, text, ())
    source = _source.get()
    entered = Statement(f"{source} {store}" if source else store, engine, text, _short(parameters))
    opened.statements.append(entered)
    return entered


@contextmanager
def waiting() -> Iterator[None]:
    """Count the time within as waiting."""
    opened = _open.get()
    if opened is None:
        yield
        return
    began = time.perf_counter()
    try:
        yield
    finally:
        opened.waited += time.perf_counter() - began


def join(done: Account, *, shared: bool = False) -> None:
    """Take over what another account holds; ``shared``: it was not this question that did it, but its twin."""
    opened = _open.get()
    if opened is None:
        return
    if shared:
        opened.shared = True
        opened.earlier += done.statements
    else:
        opened.statements += done.statements
        opened.waited += done.waited
    opened.shared |= done.shared
    opened.earlier += done.earlier
    opened.kept_for = done.kept_for if opened.kept_for is None else opened.kept_for


def kept(seconds: float, statements: Sequence[Statement]) -> None:
    """Say that the answer was made so many seconds ago, by these statements."""
    opened = _open.get()
    if opened is not None:
        opened.kept_for = max(seconds, 0.0)
        opened.earlier += statements


def _short(parameters: Parameters) -> Parameters:
    if isinstance(parameters, Mapping):
        return {name: _shortened(value) for name, value in parameters.items()}
    return tuple(map(_shortened, parameters))


def _shortened(value: object) -> object:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"{value[:_LONGEST_TEXT]}… ({len(value)} characters)"
    if isinstance(value, list | tuple):
        shown = [_shortened(one) for one in value[:_LONGEST_LIST]]
        return [*shown, f"… ({len(value)} values)"] if len(value) > _LONGEST_LIST else shown
    return value

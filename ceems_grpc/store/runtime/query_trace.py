"""The trace of a question: which statements ran, where they ran and how long they took, and how long it waited.

`trace_query` starts a trace for the code within it, and the stores record their statements in it. A trace belongs to
the context (`contextvars`) in which it was started, and so to all tasks and threads that are started there. Without a
trace, recording costs one look-up of a context variable.
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
class TracedStatement:
    """A statement that ran: its store, engine and text, its start (``began``, Unix time) and its duration in seconds.

    ``store`` is "mirror", "database" or "server", after the name of the source if there are several. ``parameters`` are
    shortened, because a list can hold all users of a site.
    """

    store: str
    engine: str
    text: str
    parameters: Parameters
    began: float = field(default_factory=time.time)
    seconds: float = 0.0
    rows: int = 0

    def ran(self, since: float, rows: int = 0) -> None:
        """Add the time since ``since`` (a value of `time.perf_counter`) and the number of rows read in this time."""
        self.seconds += time.perf_counter() - since
        self.rows += rows


@dataclass(slots=True)
class QueryTrace:
    """What happened while a question was answered.

    ``waited``: seconds in queues. ``kept_for``: the age of a cached answer in seconds; None if the answer is new.
    ``shared``: the answer was computed for an equal question that was asked at the same time. ``earlier``: the
    statements that computed a cached or shared answer.
    """

    statements: list[TracedStatement] = field(default_factory=list)
    waited: float = 0.0
    kept_for: float | None = None
    shared: bool = False
    earlier: list[TracedStatement] = field(default_factory=list)

    @property
    def stores(self) -> tuple[str, ...]:
        """The stores in which statements ran, in order of their first statement."""
        return tuple(dict.fromkeys(statement.store for statement in self.statements))

    @property
    def engine_seconds(self) -> float:
        """The total duration of the statements in seconds."""
        return sum(statement.seconds for statement in self.statements)


_current: ContextVar[QueryTrace | None] = ContextVar("ceems_query_trace", default=None)
_source: ContextVar[str] = ContextVar("ceems_source", default="")


@contextmanager
def trace_query() -> Iterator[QueryTrace]:
    """Trace everything that happens within the block, including tasks that are started there."""
    trace = QueryTrace()
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)


@contextmanager
def of_source(name: str) -> Iterator[None]:
    """Record the statements within the block under the name of a source; "" means no name."""
    token = _source.set(name)
    try:
        yield
    finally:
        _source.reset(token)


def record(store: str, engine: str, text: str, parameters: Parameters = ()) -> TracedStatement:
    """Record a statement that starts now. The caller reports its progress by `TracedStatement.ran`."""
    trace = _current.get()
    if trace is None:
        return TracedStatement(store, engine, text, ())
    source = _source.get()
    recorded = TracedStatement(f"{source} {store}" if source else store, engine, text, _short(parameters))
    trace.statements.append(recorded)
    return recorded


@contextmanager
def waiting() -> Iterator[None]:
    """Count the time within the block as waiting."""
    trace = _current.get()
    if trace is None:
        yield
        return
    began = time.perf_counter()
    try:
        yield
    finally:
        trace.waited += time.perf_counter() - began


def merge(other: QueryTrace, *, shared: bool = False) -> None:
    """Add another trace to the current one. ``shared``: the other trace is that of an equal question."""
    trace = _current.get()
    if trace is None:
        return
    if shared:
        trace.shared = True
        trace.earlier += other.statements
    else:
        trace.statements += other.statements
        trace.waited += other.waited
    trace.shared |= other.shared
    trace.earlier += other.earlier
    trace.kept_for = other.kept_for if trace.kept_for is None else trace.kept_for


def mark_kept(seconds: float, statements: Sequence[TracedStatement]) -> None:
    """Record that the answer comes from a cache, its age in seconds, and the statements that computed it."""
    trace = _current.get()
    if trace is not None:
        trace.kept_for = max(seconds, 0.0)
        trace.earlier += statements


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

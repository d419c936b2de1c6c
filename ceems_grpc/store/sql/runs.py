"""The time that a unit ran, as SQL; `ceems_grpc.store.plan.RanWithin` defines it.

Only operators and CASE are used, which postgres_fdw can send to other servers.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from ceems_grpc.store.plan import RanWithin
from ceems_grpc.store.sql.statement import Statement


@dataclass(frozen=True, slots=True)
class RunKind:
    """A kind of units: the functions that write whether such a unit ran within a time, and its start and end.

    The condition limits columns to ranges, so that an engine can use an index, or the least and greatest values of
    parts of the table.
    """

    within: Callable[[RanWithin], str]
    start: str
    end: str


class Runs(Statement):
    """Writes when units ran, in whole seconds since 1970: from a start to an end, which is not included."""

    division = "/"  # of integers

    @property
    def run_kinds(self) -> tuple[RunKind, ...]:
        """The kinds of units: ended, running, and without a run of any length. Each unit is of exactly one kind."""
        started, moment = self._seconds("started_at_ts"), self.moment()
        return (
            RunKind(self._ended_within, started, self._seconds("ended_at_ts")),
            RunKind(self._running_within, started, moment),
            RunKind(self._updated_within, moment, f"({moment} + 1)"),
        )

    def run_start(self) -> str:
        """Write when a unit's run started."""
        return f"(CASE WHEN {self._is_run()} THEN {self._seconds('started_at_ts')} ELSE {self.moment()} END)"

    def run_end(self) -> str:
        """Write when a unit's run ended. The run of a unit that ran in a single second ends one second later."""
        return f"(CASE WHEN {self._is_run()} THEN {self._finish()} ELSE {self.moment()} + 1 END)"

    def run_time(self) -> str:
        """Write the seconds that a unit ran, null for a unit without a run that lasts; see `RunTime`."""
        seconds = f"CAST({self._finish()} - {self._seconds('started_at_ts')} AS {self.float_type})"
        return f"(CASE WHEN {self._is_run()} THEN {seconds} END)"

    def started(self) -> str:
        """Write when a unit started, in seconds since 1970; null where it has not."""
        return f"(CASE WHEN {self.column('started_at_ts')} > 0 THEN {self._seconds('started_at_ts')} END)"

    def ran_within(self, condition: RanWithin) -> str:
        """Write the condition that a unit's run touches the time."""
        return f"({' OR '.join(kind.within(condition) for kind in self.run_kinds)})"

    def share_of_run(self, condition: RanWithin, start: str, end: str) -> str:
        """Write the share of a run with this start and end that lies within the time; 0 if none does."""
        first, last = condition.start, condition.end + 1
        if first >= last:
            return "0.0"
        from_ = f"(CASE WHEN {start} > {first:d} THEN {start} ELSE {first:d} END)"
        until = f"(CASE WHEN {end} < {last:d} THEN {end} ELSE {last:d} END)"
        part = f"CAST({until} - {from_} AS {self.float_type}) / ({end} - {start})"
        return f"(CASE WHEN {start} < {last:d} AND {end} > {first:d} THEN {part} ELSE 0.0 END)"

    @abstractmethod
    def moment(self) -> str:
        """Write when the row was updated, in seconds since 1970; null if that cannot be read."""

    @abstractmethod
    def updated_within(self, start: int, end: int) -> str:
        """Write the condition that the row was updated between two moments (seconds since 1970), both included."""

    def _ended_within(self, condition: RanWithin) -> str:
        started, ended = self._seconds("started_at_ts"), self._seconds("ended_at_ts")
        after = (max(condition.start, 0) + 1) * 1000
        return f"({self.column('ended_at_ts')} >= {after:d} AND {self._begun(condition)} AND {started} < {ended})"

    def _running_within(self, condition: RanWithin) -> str:
        ended, moment, started = self.column("ended_at_ts"), self.moment(), self._seconds("started_at_ts")
        latest = f"{moment} > {condition.start:d} AND {moment} > {started}"
        return f"(({ended} <= 0 OR {ended} IS NULL) AND {self._begun(condition)} AND {latest})"

    def _updated_within(self, condition: RanWithin) -> str:
        started, updated = self.column("started_at_ts"), self.updated_within(condition.start, condition.end)
        no_run = f"{started} IS NULL OR {started} <= 0 OR {self._seconds('started_at_ts')} >= {self._finish()}"
        return f"({updated} AND ({no_run}))"

    def _begun(self, condition: RanWithin) -> str:
        started = self.column("started_at_ts")
        return f"{started} > 0 AND {started} < {(condition.end + 1) * 1000:d}"

    def _is_run(self) -> str:
        started = self.column("started_at_ts")
        return f"{started} > 0 AND {self._seconds('started_at_ts')} < {self._finish()}"

    def _finish(self) -> str:
        ended = self.column("ended_at_ts")
        return f"(CASE WHEN {ended} > 0 THEN {self._seconds('ended_at_ts')} ELSE {self.moment()} END)"

    def _seconds(self, name: str) -> str:
        return f"({self.column(name)} {self.division} 1000)"

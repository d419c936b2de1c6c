"""Conditions of a plan as SQL. `ceems_grpc.store.plan` defines which rows match; null never matches."""

from abc import abstractmethod

from ceems_grpc.store.plan import (
    OPERATORS,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Holds,
    In,
    Instant,
    Operand,
    PairIn,
    RanWithin,
    Running,
    StartsWith,
    Waiting,
    Within,
)
from ceems_grpc.store.sql.runs import Runs

_STARTED, _ENDED = "started_at_ts", "ended_at_ts"


class Conditions(Runs):
    """Writes conditions. An engine overrides the methods below `condition` to write them in its own way."""

    def condition(self, condition: Condition) -> str:
        """Write a condition."""
        match condition:
            case AllOf(parts):
                return self._joined(parts, " AND ", self.always)
            case AnyOf(parts):
                return self._joined(parts, " OR ", self.never)
            case In(_, (), negate):
                return self.always if negate else self.never
            case In(operand, values, negate):
                return self.is_not_in(operand, values) if negate else self.is_in(operand, values)
            case PairIn(_, ()):
                return self.never
            case PairIn((first, second), pairs):
                return self.pair_is_in(first, second, pairs)
            case Compare(operand, operator, value):
                return self.compare(operand, OPERATORS[operator], value)
            case Holds(column, values):
                return self.holds(column, values)
            case StartsWith(operand, prefix, False):
                return self.starts_with(operand, prefix)
            case StartsWith(operand, prefix):
                # Not coalesce, which postgres_fdw does not send to other servers.
                return f"({self.starts_with(operand, prefix)} IS NULL OR NOT {self.starts_with(operand, prefix)})"
            case Within(Instant.UPDATED, start, end):
                return self.updated_within(start, end)
            case Within():
                after, before = condition.milliseconds
                return f"{self.column(_ENDED)} BETWEEN {self.value(after)} AND {self.value(before)}"
            case RanWithin(start, end):
                return self.ran_within(condition) if start <= end else self.never
            case Running():
                return f"{self.column(_ENDED)} = 0"
            case Waiting():
                unstarted = f"coalesce({self.column(_STARTED)} <= 0, {self.always})"
                return f"({self.column(_ENDED)} = 0 AND {unstarted})"

    def is_not_in(self, operand: Operand, values: tuple[str, ...]) -> str:
        """Write the condition that an operand is none of the values, or has no value."""
        within = self.is_in(operand, values)
        return self.always if within == self.never else f"coalesce(NOT {within}, {self.always})"

    @abstractmethod
    def is_in(self, operand: Operand, values: tuple[str, ...]) -> str:
        """Write the condition that an operand is one of the values. There is at least one value."""

    @abstractmethod
    def pair_is_in(self, first: str, second: str, pairs: tuple[tuple[str, str], ...]) -> str:
        """Write the condition that two text columns are one of the pairs. There is at least one pair."""

    @abstractmethod
    def compare(self, operand: Operand, operator: str, value: float) -> str:
        """Write the condition that an operand is a number in that relation (SQL's operator) to the value."""

    @abstractmethod
    def holds(self, column: str, values: tuple[str, ...]) -> str:
        """Write the condition that a JSON array holds one of the values."""

    @abstractmethod
    def starts_with(self, operand: Operand, prefix: str) -> str:
        """Write the condition that an operand starts with the prefix. Case matters except for ASCII letters."""

    def _joined(self, parts: tuple[Condition, ...], operator: str, neutral: str) -> str:
        written = [text for text in map(self.condition, parts) if text != neutral]
        return f"({operator.join(written)})" if written else neutral

"""Measures of a plan as SQL: over rows, over the shares of rows that lie within a time, and over sums of rows."""

from ceems_grpc.store.columnar.group_merge import BETWEEN
from ceems_grpc.store.plan import (
    WAIT_COLUMNS,
    Count,
    CountIf,
    FirstBy,
    Key,
    Max,
    Measure,
    Min,
    Statistic,
    Sum,
    Waits,
    WeightedSum,
    WeightOf,
)
from ceems_grpc.store.sql.conditions import Conditions

LAST = "#last"  # whether a part of a spread is the last of its unit


class Measures(Conditions):
    """Writes measures.

    ``share``: the factor of each value and weight of a row, such as ``" * share"``; "" for whole rows.
    """

    share = ""

    character, position = "chr", "strpos"  # SQL functions

    def measure(self, measure: Measure) -> str:
        """Write a measure over all rows of a group."""
        match measure:
            case FirstBy(_, column, by):
                return self._first_by(column, by)
            case Sum(_, str()):
                return self._integer(self.sum_of(measure))
        return self.sum_of(measure)

    def added_up(self, measure: Measure, part: str) -> str:
        """Write a measure over rows that are already sums, in column ``part``."""
        match measure:
            case FirstBy(_, column, by):
                return self._first_by(column, by)
            case Count() | CountIf() | Sum(_, str()) | Waits(_, Statistic.COUNT):
                return self._integer(f"sum({part})")
            case Min():
                return f"min({part})"
            case Max() | Waits(_, Statistic.MAX):
                return f"max({part})"
        return f"sum({part})"

    def sum_of(self, measure: Measure) -> str:
        """Write the sum of a measure."""
        share = self.share
        match measure:
            case Count():
                return "count(*)"
            case CountIf(_, condition):
                return f"count(*) FILTER (WHERE {self.condition(condition)})"
            case Sum(_, str(column)) if not share:
                return f"sum({self.integer_column(column)})"
            case Sum(_, Key() as key):
                return f"sum({self.number(key)}{share})"
            case WeightedSum(_, value, weight):
                return f"sum({self.number(value)} * {self.weight(weight)}{share})"
            case WeightOf(_, value, weight):
                return f"sum(CASE WHEN {self.number(value)} IS NOT NULL THEN {self.weight(weight)}{share} END)"
            case Min(_, value):
                return f"min({self.number(value)})"
            case Max(_, value):
                return f"max({self.number(value)})"
            case Waits(_, statistic, until):
                return f"{statistic}({self.wait(until)})"
        raise self.unsupported(f"{measure} is not a sum")

    def part_of(self, measure: Measure) -> str:
        """Write a measure over `parts` of a spread. Only the last part of each unit counts as a unit."""
        match measure:
            case Count():
                return f"count(*) FILTER (WHERE {self.quote(LAST)})"
            case Sum(_, Key()) | WeightedSum() | WeightOf() | Min() | Max():
                return self.sum_of(measure)
        raise self.unsupported(f"{measure} cannot be spread over steps")

    def wait(self, until: int) -> str:
        """Write the seconds that a unit waited, null if unknown; see `Waits`."""
        created, started, ended = map(self.column, WAIT_COLUMNS)
        now = f"CASE WHEN {ended} > 0 THEN NULL ELSE {until * 1000:d} END"
        finish = f"(CASE WHEN {started} > 0 THEN {started} ELSE {now} END)"
        milliseconds = f"CAST({finish} - {created} AS {self.float_type})"
        return f"CASE WHEN {created} > 0 AND {finish} >= {created} THEN {milliseconds} / 1000 END"

    def weight(self, key: Key) -> str:
        """Write a weight: 0 if a row has none."""
        return f"coalesce({self.number(key)}, 0.0)"

    def integer_column(self, name: str) -> str:
        """Write a column whose integers are summed."""
        return self.column(name)

    def _integer(self, total: str) -> str:
        """Write a sum of integers of 64 bits, 0 if there are no rows."""
        return f"CAST(coalesce({total}, 0) AS {self.integer_type})"

    def _first_by(self, column: str, by: str) -> str:
        # the least pair, as one text
        between = f"{self.character}({ord(BETWEEN)})"
        pair = f"min({self.as_text(by)} || {between} || coalesce({self.as_text(column)}, ''))"
        return f"substr({pair}, {self.position}({pair}, {between}) + 1)"

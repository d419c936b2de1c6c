"""Histograms as SQL: what units are measured by, and the buckets that the values fall into."""

from abc import abstractmethod
from collections.abc import Sequence

from ceems_grpc.store.plan import Condition, Histogram, Key, Measured, Moment, RunTime, Total, Wait
from ceems_grpc.store.sql.measures import Measures

STEP, BUCKET, UNITS = "#step", "#bucket", "#units"
"""The columns of an answer: how many starts of steps and bounds are not above a unit's moment and value; the count."""
VALUE, MOMENT = "#value", "#moment"


class Histograms(Measures):
    """Writes histograms. The store adds up rows of one group: a group may have several."""

    def histogram(self, plan: Histogram) -> str:
        """Return the statement of a histogram, with a column for each of ``by``, then `STEP`, `BUCKET` and `UNITS`."""
        return self.counted_by(plan, [(self.as_text(name), name) for name in plan.by])

    def counted_by(self, plan: Histogram, groups: Sequence[tuple[str, str]], *more: str) -> str:
        """Return a histogram by groups (how each is written, and its name) and by ``more`` columns, not shown."""
        shown = [self.quote(name) for _, name in groups]
        # In the order of the text, since parameters have no numbers.
        step = self.bucket(self.quote(MOMENT), plan.starts) if plan.starts else "0"
        bucket = "0" if plan.value is None else self.bucket(self.quote(VALUE), plan.bounds)
        counts = [
            f"{step} AS {self.quote(STEP)}",
            f"{bucket} AS {self.quote(BUCKET)}",
            f"count(*) AS {self.quote(UNITS)}",
        ]
        read = self.measured_rows(plan, groups, *more)
        by = ", ".join([*shown, *more, self.quote(STEP), self.quote(BUCKET)])
        present = [f"{self.quote(VALUE)} IS NOT NULL"] if plan.value is not None else []
        present += [f"{self.quote(MOMENT)} IS NOT NULL"] if plan.starts else []
        where = f" WHERE {' AND '.join(present)}" if present else ""
        return f"SELECT {', '.join([*shown, *counts])} FROM ({read}) AS measured{where} GROUP BY {by}"  # noqa: S608 - quoted names

    def measured_rows(self, plan: Histogram, groups: Sequence[tuple[str, str]], *more: str) -> str:
        """Return the statement of the rows of a histogram: the groups, `VALUE`, and `MOMENT` in seconds since 1970."""
        read = [*(f"{text} AS {self.quote(name)}" for text, name in groups), *more]
        read.append(f"{self.measured(plan.value)} AS {self.quote(VALUE)}")
        read.append(f"{self.moment_of(plan.at) if plan.starts else '0'} AS {self.quote(MOMENT)}")
        return f"SELECT {', '.join(read)} FROM {self.rows(plan.where)}"  # noqa: S608 - quoted names

    def measured(self, value: Measured | None) -> str:
        """Write a value, null where a unit does not have it."""
        match value:
            case None:
                return "0"
            case Key():
                return self.number(value)
            case Total(keys):
                return self._total(keys)
            case Wait(until):
                return self.wait(until)
            case RunTime():
                return self.run_time()

    def _total(self, keys: Sequence[Key]) -> str:
        if not keys:
            return "NULL"
        first, *others = keys
        if not others:
            return self.number(first)
        # Only what postgres_fdw can send to other servers. Each value is written where it stands: parameters have no
        # numbers.
        has_no_first = f"{self.number(first)} IS NULL"
        rest = self._total(others)
        has_no_rest = f"{self._total(others)} IS NULL"
        alone = self.number(first)
        return (
            f"(CASE WHEN {has_no_first} THEN {rest} WHEN {has_no_rest} THEN {alone}"
            f" ELSE {self.number(first)} + {self._total(others)} END)"
        )

    def moment_of(self, at: Moment) -> str:
        """Write the moment that decides into which step a unit falls, in seconds since 1970."""
        match at:
            case Moment.UPDATED:
                return self.moment()
            case Moment.RAN:
                return f"({self.run_end()} - 1)"
            case Moment.STARTED:
                return self.started()

    @abstractmethod
    def bucket(self, value: str, bounds: Sequence[float]) -> str:
        """Write how many of the bounds, which ascend, are not above a column; the column is not null."""

    @abstractmethod
    def rows(self, where: Condition, recent: int | None = None) -> str:
        """Write the rows that fulfil a condition; ``recent``: only of so many that were added last."""

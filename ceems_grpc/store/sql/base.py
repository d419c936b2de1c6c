"""Plans as SQL statements."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence

from ceems_grpc.store.plan import Aggregate, Condition, Distinct, FirstBy, Order, Scan, Spread, Table
from ceems_grpc.store.sql.histograms import Histograms

SHARE = "#share"  # the column with the share of a row that counts
STEP = "#step"  # the column with the index of the step of a spread
SortKey = tuple[str, bool]
"""A sort key, and whether it is descending. Rows without a value come last in both directions."""


class Compiler(Histograms):
    """Compiles a plan about one table. One instance writes one statement."""

    # Scans

    def scan(self, plan: Scan) -> tuple[str, list[str]]:
        """Return the statement of a scan, and the names of the columns of its answer."""
        columns = list(self.scanned(plan))
        return self.select([column for _, column in columns], plan), [name for name, _ in columns]

    def select(self, columns: Sequence[str], plan: Scan) -> str:
        """Return the statement that reads columns of the rows of a scan, in the scan's order and up to its limit."""
        rows = self.rows(plan.where)
        order = _order_by([*self.sort_keys(plan.order), *self.ties()])
        return f"SELECT {self.listed(columns)} FROM {rows}{order}{self.limit(plan.limit)}"  # noqa: S608 - quoted names

    @abstractmethod
    def scanned(self, plan: Scan) -> Iterator[tuple[str, str]]:
        """Yield the columns of a scan: their names in the answer, and their SQL."""

    def listed(self, columns: Sequence[str]) -> str:
        """Write the select list of a scan."""
        return ", ".join(columns)

    def sort_keys(self, order: Iterable[Order]) -> Iterator[SortKey]:
        """Yield the sort keys of a scan."""
        for item in order:
            yield from self.sort_key(item)

    @abstractmethod
    def sort_key(self, item: Order) -> Iterator[SortKey]:
        """Yield the sort keys for rows of the table; none if no row has the value."""

    def ties(self) -> Iterator[SortKey]:
        """Yield the last sort keys, which order rows that are otherwise equal as SQLite does: by their ids."""
        yield from ()

    # Aggregations

    def aggregate(self, plan: Aggregate) -> str:
        """Return the statement of an aggregation."""
        self.multiply_by_share(plan)
        if not self.takes_two_steps(plan):
            measures = list(map(self.measure, plan.measures))
            return self._grouped(plan, measures, self.shared_rows(plan))
        sums = self.first_step(plan, self.sums(plan), self.shared_rows(plan), *self.sharded_by)
        return self.second_step(plan, sums)

    def shared_rows(self, plan: Aggregate) -> str:
        """Write the rows of an aggregation; if it is prorated, with a column for the share of each row."""
        if plan.prorated is None:
            return self.rows(plan.where)
        share = self.share_of_run(plan.prorated, self.run_start(), self.run_end())
        return f"(SELECT *, {share} AS {self.quote(SHARE)} FROM {self.rows(plan.where)}) AS ran"  # noqa: S608 - quoted names

    def multiply_by_share(self, plan: Aggregate) -> None:
        """Make sums count the share of each row if a plan is prorated. Call this before sums are written."""
        if plan.prorated is not None:
            if self.table is not Table.UNITS:
                raise self.unsupported("only units have a run")
            self.share = f" * {self.quote(SHARE)}"

    @property
    def sharded_by(self) -> tuple[str, ...]:
        """The columns that distribute the rows of the table over servers, each of which sums its own rows."""
        return ()

    def takes_two_steps(self, plan: Aggregate) -> bool:
        """Return whether rows are first summed by more columns than the answer has, and these sums are then added up.

        The first step also groups by the columns that `FirstBy` reads.
        """
        return False

    def sums(self, plan: Aggregate) -> list[str]:
        """Write the sums of the first step: those of all measures except `FirstBy`."""
        return [self.sum_of(measure) for measure in plan.measures if not isinstance(measure, FirstBy)]

    def first_step(self, plan: Aggregate, sums: Sequence[str], rows: str, *more: str) -> str:
        """Return the first step: sums over rows, by the groups of the plan, the columns of `FirstBy`, and ``more``."""
        inner = self.inner_groups(plan)
        parts = [f"{text} AS {self.quote(name)}" for text, name in zip(sums, _part_names(plan), strict=True)]
        shown = ", ".join([*inner, *parts]) or "1 AS nothing"
        return f"SELECT {shown} FROM {rows}{_group_by([*more, *inner])}"  # noqa: S608 - quoted names

    def inner_groups(self, plan: Aggregate) -> list[str]:
        """Write the columns by which the first step groups: those of the plan, and those that `FirstBy` reads."""
        days = [self.day()] if plan.day else []
        looked_for = [name for each in plan.measures if isinstance(each, FirstBy) for name in (each.column, each.by)]
        return list(dict.fromkeys([*map(self.column, plan.by), *days, *map(self.column, looked_for)]))

    def second_step(self, plan: Aggregate, sums: str) -> str:
        """Return the second step, which computes the answer from sums. A group may have several rows of sums."""
        places = [self.quote(f"#part{index}") for index in range(len(plan.measures))]
        measures = list(map(self.added_up, plan.measures, places))
        return self._grouped(plan, measures, f"({sums}) AS sums")

    def _grouped(self, plan: Aggregate, measures: Sequence[str], rows: str) -> str:
        shown = [f"{self.as_text(name)} AS {self.quote(name)}" for name in plan.by]
        groups = list(map(self.column, plan.by))
        if plan.day:
            shown.append(f"{self.day()} AS day")
            groups.append(self.day())
        shown += [
            f"{text} AS {self.quote(measure.name)}" for text, measure in zip(measures, plan.measures, strict=True)
        ]
        if not shown:
            raise self.unsupported("an aggregation needs groups or measures")
        order = _order_by(self.answer_sort_keys(plan))
        return f"SELECT {', '.join(shown)} FROM {rows}{_group_by(groups)}{order}"  # noqa: S608 - quoted names

    def answer_sort_keys(self, plan: Aggregate) -> Iterator[SortKey]:
        """Yield the sort keys of the answer of an aggregation."""
        answered = {*plan.by, *(measure.name for measure in plan.measures), "day"}
        for item in plan.order:
            name = str(item.operand)
            if name in answered:
                yield self.quote(name), item.descending
            else:
                yield from self.unanswered_sort_key(item)

    def unanswered_sort_key(self, item: Order) -> Iterator[SortKey]:
        """Yield a sort key of an answer that is not one of its columns."""
        raise self.unsupported(f"an aggregation cannot be ordered by {item.operand}, which is not in its answer")

    @abstractmethod
    def day(self) -> str:
        """Write the start of the UTC day in which the row was updated, in seconds since 1970."""

    # Spreads

    def spread(self, plan: Spread) -> str:
        """Return the statement of a spread."""
        groups = list(map(self.column, plan.by))
        parts = self.parts(plan)
        self.share = f" * {self.quote(SHARE)}"
        shown = [f"{self.as_text(name)} AS {self.quote(name)}" for name in plan.by]
        step = self.quote(STEP)
        shown += [
            f"{step} AS step",
            *(f"{self.part_of(measure)} AS {self.quote(measure.name)}" for measure in plan.measures),
        ]
        by = [*groups, step]
        order = ", ".join(f"{column} NULLS FIRST" for column in by)
        return f"WITH {parts} SELECT {', '.join(shown)} FROM parts{_group_by(by)} ORDER BY {order}"  # noqa: S608

    @abstractmethod
    def parts(self, plan: Spread) -> str:
        """Write common table expressions. The last one, ``parts``, has a row for each unit and step in which it ran.

        `STEP`: the step's index; `LAST`: whether it is the unit's last step; `SHARE`: the part of the unit's run in the
        step. No column of units has a name like these. The measures and groups are columns of ``parts`` too.
        """

    # Look-ups

    def distinct(self, plan: Distinct) -> str:
        """Return the statement that looks up distinct values, nulls first."""
        columns = list(map(self.comparable, plan.columns))
        order = ", ".join(f"{column} NULLS FIRST" for column in columns)
        rows = self.rows(plan.where, plan.recent)
        return f"SELECT DISTINCT {', '.join(columns)} FROM {rows} ORDER BY {order}{self.limit(plan.limit)}"  # noqa: S608 - quoted names

    def comparable(self, name: str) -> str:
        """Write a column in the form in which its values are compared or sorted."""
        return self.column(name)

    # Rows

    def rows(self, where: Condition, recent: int | None = None) -> str:
        """Write the rows that meet a condition. ``recent``: only among this many most recently added rows."""
        place = self.place if recent is None else self.recent_rows(recent)
        return f"{place} WHERE {self.condition(where)}"

    @abstractmethod
    def recent_rows(self, count: int) -> str:
        """Write the most recently added rows."""

    def limit(self, limit: int | None) -> str:
        """Write LIMIT. A negative limit means no limit, as in SQLite."""
        return "" if limit is None or limit < 0 else f" LIMIT {self.value(limit)}"


def _part_names(plan: Aggregate) -> list[str]:
    return [f"#part{index}" for index, measure in enumerate(plan.measures) if not isinstance(measure, FirstBy)]


def _group_by(columns: Sequence[str]) -> str:
    return f" GROUP BY {', '.join(columns)}" if columns else ""


def _order_by(keys: Iterable[SortKey]) -> str:
    written = [f"{column} {'DESC' if descending else 'ASC'} NULLS LAST" for column, descending in keys]
    return f" ORDER BY {', '.join(written)}" if written else ""

"""Counts of units by value: the plan that sorts values into buckets, and its parts."""

from enum import StrEnum

from ceems_grpc.store.plan.vocabulary import WAIT_COLUMNS, Condition, Key, PlanPart

RUN_COLUMNS = ("started_at_ts", "ended_at_ts", "last_updated_at")
"""The columns that runs are computed from."""


class Wait(PlanPart, frozen=True):
    """The seconds that a unit waited; see `vocabulary.Waits`."""

    until: int

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the value is computed from."""
        return WAIT_COLUMNS


class RunTime(PlanPart, frozen=True):
    """The seconds that a unit ran: from its start until its end, or until its last update while it runs.

    Start and end count in whole seconds. A unit without a start, or whose end is not after its start, has no run time.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the value is computed from."""
        return RUN_COLUMNS


class Total(PlanPart, frozen=True):
    """The sum of those of the keys that a unit has; a unit without any of them has no total."""

    keys: tuple[Key, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the value is computed from."""
        return tuple(key.column for key in self.keys)


class Moment(StrEnum):
    """The moment that decides into which step a unit falls."""

    UPDATED = "updated"  # of the last update
    RAN = "ran"  # the last second in which it ran; see `vocabulary.RanWithin`
    STARTED = "started"


MOMENT_COLUMNS = {
    Moment.UPDATED: ("last_updated_at",),
    Moment.RAN: RUN_COLUMNS,
    Moment.STARTED: ("started_at_ts",),
}
"""The columns that each moment is computed from."""

Measured = Key | Total | Wait | RunTime
"""What units are sorted into buckets by: the value of a metric, a sum of such values, or a time."""


class Histogram(PlanPart, frozen=True):
    """The number of units per group, step and bucket of a value. Groups, steps and buckets without units are left out.

    ``bounds`` ascend. A bound belongs to the bucket that it starts. The int64 column ``bucket`` is the number of bounds
    that are not above the value: 0 for a value below the first bound. Units without the value do not count. Without a
    value (None), every unit counts, in bucket 0.

    ``starts`` are the starts of steps in seconds, ascending. The int64 column ``step`` is the index of the step that
    holds the unit's moment ``at``; a moment before the first step counts in the first. Units without the moment do not
    count. Without steps, all units are in step 0. The number of units is the column ``num_units``.
    """

    by: tuple[str, ...]
    value: Measured | None
    bounds: tuple[float, ...]
    where: Condition
    starts: tuple[int, ...] = ()
    at: Moment = Moment.UPDATED

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that identify a row of the answer."""
        return (*self.by, "step", "bucket")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns without which no unit counts."""
        steps = MOMENT_COLUMNS[self.at] if self.starts else ()
        match self.value:
            case None:
                return steps
            case Key(column, _):
                return (column, *steps)
            case Total() | Wait() | RunTime() as computed:
                return (*computed.columns, *steps)

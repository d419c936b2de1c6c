"""The questions that can be asked, whoever asks and whatever the form of the request."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo

from ceems_grpc.domain.questions.period import Period
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: the login, and whether the user's role in Grafana makes the user an administrator of CEEMS."""

    login: str
    admin_by_role: bool = False


AsAdmin = bool | Literal["auto"]
"""True: as an administrator (an error for others). False: as a user. "auto": as an administrator if the user is one."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a column or key.

    Operators: ``=`` and ``!=`` with one value, ``=|`` and ``!=|`` with a list, ``<`` ``<=`` ``>`` ``>=`` with a number,
    ``=~`` and ``!~`` with a regular expression that matches the whole text. ``ad_hoc``: the filter is of the dashboard;
    an answer without the column passes it over.
    """

    key: str
    operator: str
    values: tuple[str, ...]
    ad_hoc: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of a question: every field must match by one of its values. An empty field matches every row."""

    clusters: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    resource_managers: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderBy:
    """Sort by a field of the answer."""

    field: str
    descending: bool = False

    @property
    def column(self) -> str:
        """The column of the field, without the key."""
        return self.field.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes into which the numbers of a group are sorted. ``bounds`` are ascending, and each starts a class."""

    key: str
    bounds: tuple[float, ...]


class Mode(StrEnum):
    """Within the window, or over everything that the database holds."""

    CURRENT = "current"
    GLOBAL = "global"


class Source(StrEnum):
    """What usage is summed from."""

    UNITS = "units"  # units last updated within the window, each with its whole consumption since its start
    PRORATED = "prorated"  # units that ran within the window, each with the share of its run that lies in the window
    DAILY = "daily"  # rows of daily_usage


@dataclass(frozen=True, slots=True)
class UnitsQuestion:
    """Units that ended within the window; with ``running`` also running units; with uuids these units at any time.

    ``ran_within``: with ``running``, units whose run touches the window take the place of those that are running now.
    """

    window: Window
    selection: Selection = field(default_factory=Selection)
    uuids: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    running: bool = False
    fields: tuple[str, ...] = ()
    order: tuple[OrderBy, ...] = ()
    limit: int | None = None
    admin: AsAdmin = False
    ran_within: bool = False


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Usage by user, project and the columns of ``group_by``; with ``exact_groups`` only by those columns.

    ``rounds_window``: the window is widened to multiples of a quarter of an hour, which `Source.UNITS` always does.
    ``every_row``: also count rows that a later row of the same unit replaces, as the REST API does.
    """

    window: Window
    mode: Mode = Mode.CURRENT
    source: Source = Source.UNITS
    selection: Selection = field(default_factory=Selection)
    group_by: tuple[str, ...] = ()
    exact_groups: bool = False
    fields: tuple[str, ...] = ()
    order: tuple[OrderBy, ...] = ()
    limit: int | None = None
    admin: AsAdmin = False
    rounds_window: bool = False
    every_row: bool = False
    classes: tuple[Classes, ...] = ()


@dataclass(frozen=True, slots=True)
class UsageOverTimeQuestion:
    """Usage per time step and group. ``zone``: the zone of the steps (None: UTC, or the site's zone for hours).

    The steps of `Source.UNITS` and `Source.PRORATED` are the same: a step holds only what was used in it.
    """

    window: Window
    step: TimeStep = TimeStep.DAY
    zone: ZoneInfo | None = None
    source: Source = Source.DAILY
    selection: Selection = field(default_factory=Selection)
    group_by: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    admin: AsAdmin = False
    classes: tuple[Classes, ...] = ()


@dataclass(frozen=True, slots=True)
class DistributionQuestion:
    """How the values of a field of units are distributed: counts per bucket, or quantiles, per group.

    ``of``: a field of numbers. The units are those that usage with this source counts. ``bounds``: of the buckets; none
    means logarithmic buckets. ``step``: also per time step. ``zone``: the zone of the steps (None: the site's).
    ``quantiles``: quantiles instead of counts.
    """

    window: Window
    of: str
    source: Source = Source.UNITS
    selection: Selection = field(default_factory=Selection)
    group_by: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    quantiles: bool = False
    step: TimeStep | None = None
    zone: ZoneInfo | None = None
    admin: AsAdmin = False
    classes: tuple[Classes, ...] = ()


@dataclass(frozen=True, slots=True)
class StatsQuestion:
    """Counts of units, projects and users per cluster. ``every_row``: as in `UsageQuestion`."""

    window: Window
    mode: Mode = Mode.CURRENT
    selection: Selection = field(default_factory=Selection)
    fields: tuple[str, ...] = ()
    order: tuple[OrderBy, ...] = ()
    limit: int | None = None
    admin: AsAdmin = False
    every_row: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """A question that is also asked about an earlier time range.

    ``zone``: the zone of whole days and months; None means the site's. Usage over time uses the zone of its steps.
    """

    question: UsageQuestion | StatsQuestion | UsageOverTimeQuestion
    period: Period
    zone: ZoneInfo | None = None


class Directory(StrEnum):
    """The lists of users, projects and so on."""

    USERS = "users"
    PROJECTS = "projects"
    CLUSTERS = "clusters"
    ADMINS = "admins"


@dataclass(frozen=True, slots=True)
class DirectoryQuestion:
    """Users, projects, clusters or administrators."""

    directory: Directory
    selection: Selection = field(default_factory=Selection)
    fields: tuple[str, ...] = ()
    order: tuple[OrderBy, ...] = ()
    limit: int | None = None
    admin: AsAdmin = False


@dataclass(frozen=True, slots=True)
class VerifyQuestion:
    """Whether all these units belong to projects of the user on these clusters."""

    uuids: tuple[str, ...]
    clusters: tuple[str, ...]

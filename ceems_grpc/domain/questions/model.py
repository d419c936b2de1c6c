"""What can be asked, whoever asks it and in whatever form it arrived."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo

from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: the login of the signed-in user, and whether the policy makes the user an administrator anyway."""

    login: str
    admin_by_role: bool = False


AsAdmin = bool | Literal["auto"]
"""Ask as an administrator (an error for others), as oneself, or ("auto") as whichever one is."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a column or key: ``=`` ``!=`` with text or number, ``=|`` ``!=|`` with a list, ``<`` and so on."""

    key: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows: several kinds intersect, several values of a kind unite, an empty kind is no condition."""

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
        """The column that the field is, or is a key of."""
        return self.field.partition(".")[0]


class Mode(StrEnum):
    """Within the window, or over everything that the database holds."""

    CURRENT = "current"
    GLOBAL = "global"


class Source(StrEnum):
    """Which rows usage is summed from."""

    UNITS = "units"
    DAILY = "daily"


@dataclass(frozen=True, slots=True)
class UnitsQuestion:
    """Units that ended within the window, and those that run if asked; with uuids, those units at any time."""

    window: Window
    selection: Selection = field(default_factory=Selection)
    uuids: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    running: bool = False
    fields: tuple[str, ...] = ()
    order: tuple[OrderBy, ...] = ()
    limit: int | None = None
    admin: AsAdmin = False


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Usage by user and project, and by what is asked beside; ``exact_groups``: by exactly what is asked."""

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


@dataclass(frozen=True, slots=True)
class UsageOverTimeQuestion:
    """Usage per step of time and group; ``zone``: whose days, weeks and months (None: UTC's, or the site's by hour)."""

    window: Window
    step: TimeStep = TimeStep.DAY
    zone: ZoneInfo | None = None
    source: Source = Source.DAILY
    selection: Selection = field(default_factory=Selection)
    group_by: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    admin: AsAdmin = False


@dataclass(frozen=True, slots=True)
class StatsQuestion:
    """Counts of units, projects and users per cluster."""

    window: Window
    mode: Mode = Mode.CURRENT
    selection: Selection = field(default_factory=Selection)
    fields: tuple[str, ...] = ()
    order: tuple[OrderBy, ...] = ()
    limit: int | None = None
    admin: AsAdmin = False


class Directory(StrEnum):
    """Lists of who and what there is."""

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

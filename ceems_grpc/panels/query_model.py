"""The query model of panels: JSON from Grafana, decoded, checked and turned into a question; see docs/query.md."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, cast

import msgspec

from ceems_grpc.domain.errors import bad_data
from ceems_grpc.domain.questions.groups import MOST_BOUNDS
from ceems_grpc.domain.questions.limits import MOST_CHARACTERS, MOST_FILTERS, MOST_GROUPS, MOST_VALUES, distinct_orders
from ceems_grpc.domain.questions.model import (
    AsAdmin,
    Classes,
    Comparison,
    Directory,
    DirectoryQuestion,
    DistributionQuestion,
    Filter,
    Mode,
    OrderBy,
    Selection,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
)
from ceems_grpc.domain.questions.period import Period
from ceems_grpc.domain.questions.steps import TimeStep, fitting_step
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.panels.query_versions import OLDEST, check_version, default_of
from ceems_grpc.panels.time_zone import query_zone
from ceems_grpc.schema import GROUPS

TableQuestion = UnitsQuestion | UsageQuestion | StatsQuestion | DirectoryQuestion
Question = TableQuestion | UsageOverTimeQuestion | DistributionQuestion

MOST_BYTES = 1024 * 1024
"""Bytes of the longest query that is accepted."""
Texts = Annotated[list[str], msgspec.Meta(max_length=MOST_VALUES)]
QueryType = Literal["units", "usage", "stats", "users", "projects", "clusters", "usage-over-time", "distribution"]
Step = Literal["quarter-hour", "hour", "day", "week", "month"]
Format = Literal["", "table", "numeric", "wide", "multi", "histogram", "heatmap", "quantiles"]
_FORMATS: dict[str, tuple[Format, ...]] = {
    "usage": ("table", "numeric"),
    "stats": ("table", "numeric"),
    "usage-over-time": ("wide", "multi"),
    "distribution": ("histogram", "heatmap", "quantiles", "table"),
}

# A JSON escape. ``half``: one half of a surrogate pair without the other half. msgspec refuses it too, but its messages
# do not say why.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|[\s\S])"
)


def _has_half_of_a_pair(json: bytes) -> bool:
    return any(escape["half"] for escape in _ESCAPE.finditer(json))


class FilterModel(msgspec.Struct, rename="camel"):
    """A condition on a column or key."""

    key: str
    operator: str = "="
    value: str | int | float | bool | Texts = ""
    ad_hoc: bool = False


class ClassesModel(msgspec.Struct, rename="camel"):
    """The classes into which the numbers of a group are sorted."""

    key: str
    bounds: Annotated[list[float], msgspec.Meta(max_length=MOST_BOUNDS)]


class QueryModel(msgspec.Struct, rename="camel"):
    """The query as the editor saves it. Keys that Grafana adds (refId, datasource, hide ...) are ignored.

    The meaning of an absent key may depend on ``version``: see `query_versions`.
    """

    version: int = OLDEST
    query_type: QueryType | Literal[""] = ""
    mode: Literal["current", "global"] = "current"
    admin: bool | Literal["auto"] | msgspec.UnsetType = msgspec.UNSET
    clusters: Texts = []
    projects: Texts = []
    users: Texts = []
    uuids: Texts = []
    states: Texts = []
    resource_managers: Texts = []
    running: bool = False
    running_at: Literal["", "range", "now"] = ""
    fields: Texts = []
    of: str = ""
    bounds: Annotated[list[float], msgspec.Meta(max_length=MOST_BOUNDS)] = []
    group_by: Texts = []
    exact_group_by: bool | msgspec.UnsetType = msgspec.UNSET
    classes: Annotated[list[ClassesModel], msgspec.Meta(max_length=MOST_GROUPS)] = []
    source: Literal["", "units", "prorated", "daily"] = ""
    step: Step | Literal["", "auto"] = ""
    min_step: Step | Literal[""] = ""
    filters: Annotated[list[FilterModel], msgspec.Meta(max_length=MOST_FILTERS)] = []
    order_by: Texts = []
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    timezone: str = ""
    compare: Literal["", "previous", "year"] = ""
    format: Format = ""
    legend: Annotated[str, msgspec.Meta(max_length=MOST_CHARACTERS)] = ""

    def shape(self, query_type: QueryType) -> Format:
        """Return the format of the frames. A format that the query type does not have is an error."""
        formats = _FORMATS.get(query_type, ("table",))
        if self.format and self.format not in formats:
            raise bad_data(f"format '{self.format}' does not go with {query_type}: use {' or '.join(formats)}")
        if query_type == "distribution":
            return self._shape_of_distribution()
        return self.format or formats[0]

    def _shape_of_distribution(self) -> Format:
        if self.format == "histogram" and self.step:
            raise bad_data("format 'histogram' has no steps: leave out step, or use the format 'heatmap'")
        if self.format == "heatmap" and not self.step:
            raise bad_data("format 'heatmap' needs steps: choose a step, or use the format 'histogram'")
        return self.format or ("heatmap" if self.step else "histogram")

    @property
    def as_admin(self) -> AsAdmin:
        """Whether to ask as an administrator."""
        admin = default_of("admin", self.version) if self.admin is msgspec.UNSET else self.admin
        return cast("AsAdmin", admin)

    @property
    def legend_or_default(self) -> str:
        """The legend: "names", "auto" or a template; see `display_names`."""
        return self.legend or str(default_of("legend", self.version))

    @property
    def shows_past_runs(self) -> bool:
        """Whether ``running`` means units that ran within a past time range, and not those that are running now."""
        return (self.running_at or default_of("runningAt", self.version)) == "range"

    @property
    def exact_groups(self) -> bool:
        """Whether usage is grouped by exactly the columns of ``group_by``."""
        exact = self.exact_group_by
        return bool(default_of("exactGroupBy", self.version) if exact is msgspec.UNSET else exact)


@dataclass(frozen=True, slots=True)
class Room:
    """What a panel can show: at most so many ``points``, at least ``interval`` seconds apart; 0 means unknown."""

    points: int = 0
    interval: float = 0


_ANY_ROOM = Room()


def read_query(json: bytes, query_type: str = "") -> tuple[QueryModel, QueryType]:
    """Decode a query. ``query_type``: the type in Grafana's envelope, used if the JSON has none."""
    if len(json) > MOST_BYTES:
        raise bad_data(f"the query cannot be read: it is longer than {MOST_BYTES} bytes; name fewer values")
    try:
        # The decoder skips keys that the model does not have without looking at their bytes.
        model = msgspec.json.decode(json.decode() or "{}", type=QueryModel)
        kind = model.query_type or msgspec.convert(query_type or "units", QueryType)
    except UnicodeDecodeError:
        raise bad_data("the query cannot be read: it is not valid UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        why = "a text has half of a surrogate pair, which is not a character" if _has_half_of_a_pair(json) else error
        raise bad_data(f"the query cannot be read: {why}") from None
    check_version(model.version)
    for texts in (model.clusters, model.projects, model.users, model.uuids, model.states, model.fields, [model.of]):
        if any("\0" in text for text in texts):
            raise bad_data("the query cannot be read: NUL is not allowed in text")
    return model, kind


def question_of(model: QueryModel, kind: QueryType, window: Window, room: Room = _ANY_ROOM) -> Question:
    """Return the question that a query asks over the panel's time range. ``room``: of the panel."""
    selection = Selection(
        _distinct(model.clusters),
        _distinct(model.projects),
        _distinct(model.users),
        _distinct(model.resource_managers),
        tuple(map(_filter, model.filters)),
    )
    fields, order, admin = _distinct(model.fields), distinct_orders(map(_order, model.order_by)), model.as_admin
    mode = Mode(model.mode)
    classes = tuple(Classes(each.key, tuple(each.bounds)) for each in model.classes)
    match kind:
        case "units":
            return UnitsQuestion(
                window,
                selection,
                _distinct(model.uuids),
                _distinct(model.states),
                model.running,
                fields,
                order,
                model.limit,
                admin,
            )
        case "usage":
            return UsageQuestion(
                window,
                mode,
                Source(model.source or "units"),
                selection,
                _distinct(model.group_by),
                model.exact_groups,
                _with_groups(model, fields),
                order,
                model.limit,
                admin,
                classes=classes,
            )
        case "usage-over-time":
            return UsageOverTimeQuestion(
                window,
                _step(model, window, room),
                query_zone(model.timezone),
                _source_of_steps(model),
                selection,
                _distinct(model.group_by),
                fields,
                admin,
                classes,
            )
        case "distribution":
            return _distribution(model, window, room, selection, classes)
        case "stats":
            return StatsQuestion(window, mode, selection, fields, order, model.limit, admin)
        case "users" | "projects" | "clusters":
            return DirectoryQuestion(Directory(kind), selection, fields, order, model.limit, admin)


def _distribution(
    model: QueryModel, window: Window, room: Room, selection: Selection, classes: tuple[Classes, ...]
) -> DistributionQuestion:
    if model.mode == "global":
        raise bad_data('a distribution is one of units within a time range: use the mode "current"')
    return DistributionQuestion(
        window,
        model.of.strip(),
        Source(model.source or "units"),
        selection,
        _distinct(model.group_by),
        tuple(model.bounds),
        model.format == "quantiles",
        _step(model, window, room) if model.step else None,
        query_zone(model.timezone),
        model.as_admin,
        classes,
    )


def _step(model: QueryModel, window: Window, room: Room) -> TimeStep:
    step = model.step or str(default_of("step", model.version))
    if step != "auto":
        return TimeStep(step)
    shortest = TimeStep(model.min_step or TimeStep.QUARTER_HOUR)
    return fitting_step(window, interval=room.interval, most=room.points, shortest=shortest)


def comparison_of(model: QueryModel, kind: QueryType, question: Question) -> Comparison | None:
    """Return the comparison that a query asks for, with its question; None if it asks for none."""
    if not model.compare:
        return None
    if isinstance(question, UnitsQuestion | DirectoryQuestion | DistributionQuestion):
        raise bad_data(f"compare does not go with {kind}: use usage, stats or usage-over-time")
    return Comparison(question, Period(model.compare), query_zone(model.timezone))


def _source_of_steps(model: QueryModel) -> Source:
    """Return the source of usage over time: by default daily_usage, or units for what only these have."""
    return Source(model.source or ("daily" if set(model.group_by) <= set(GROUPS) else "units"))


def _with_groups(model: QueryModel, fields: tuple[str, ...]) -> tuple[str, ...]:
    """Add the columns by which rows are grouped; queries of version 1 show only what they name."""
    if model.version < 2 or not model.exact_groups or not fields:
        return fields
    return (*(name for name in _distinct(model.group_by) if name not in fields), *fields)


def _distinct(texts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _filter(model: FilterModel) -> Filter:
    return Filter(model.key, model.operator, _texts(model.value), model.ad_hoc)


def _texts(value: str | float | Texts) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, float):
        return (str(int(value)) if value.is_integer() else str(value),)
    return (str(value),)  # all digits of an integer, even more than a float has


def _order(text: str) -> OrderBy:
    return OrderBy(text.removeprefix("-"), descending=text.startswith("-"))

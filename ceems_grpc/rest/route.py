"""A route of the CEEMS API: a path, what it takes, what it returns, and the handler that answers it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from ceems_grpc.domain.questions.fields import choose_fields
from ceems_grpc.domain.questions.model import Selection, Viewer
from ceems_grpc.domain.questions.window import Window
from ceems_grpc.domain.service import Ceems
from ceems_grpc.grafana import ResourceResponse
from ceems_grpc.rest.json_shapes import Shape
from ceems_grpc.rest.parameters import Parameters, window_of


class Audience(StrEnum):
    """Who may call a route."""

    ANYBODY = "anybody"
    USER = "user"
    ADMIN = "admin"


class Content(StrEnum):
    """The content of the body of a successful response."""

    ROWS = "rows"
    SUGGESTIONS = "suggestions"
    NULL = "null"
    TEXT = "text"
    DOCUMENT = "document"


class ParameterKind(StrEnum):
    """The values that a query parameter takes."""

    TEXT = "text"
    TEXTS = "texts"
    """A text; the parameter may be repeated."""
    MOMENT = "moment"
    """Seconds or milliseconds since the epoch."""
    SWITCH = "switch"
    """On if the parameter is present, with any value or none."""
    COUNT = "count"
    """How many suggestions to return."""
    ADMIN = "admin"
    """true, false or auto."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter."""

    name: str
    kind: ParameterKind
    description: str


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the API.

    ``name``: the label of its metrics. ``shape``: how rows are written; None for a response without rows.
    ``may_forbid``: whether a signed-in user may get 403. ``streamed``: whether the handler returns before the rows are
    read. ``reads_query``: whether a malformed query string is an error (400).
    """

    path: str
    name: str
    handler: "Handler"
    audience: Audience
    summary: str
    parameters: tuple[Parameter, ...] = ()
    shape: Shape | None = None
    content: Content = Content.ROWS
    may_forbid: bool = False
    streamed: bool = False
    reads_query: bool = True

    @property
    def as_admin(self) -> bool:
        """Return whether the question is asked as an administrator."""
        return self.audience is Audience.ADMIN

    def takes(self, name: str) -> bool:
        """Return whether the route has this query parameter; a request's other parameters are ignored."""
        return any(parameter.name == name for parameter in self.parameters)


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request to a route.

    ``parameters``: only those that the route takes. ``now``: seconds since the epoch.
    """

    ceems: Ceems
    viewer: Viewer | None
    route: Route
    parameters: Parameters
    now: int

    @property
    def admin(self) -> bool:
        """Return whether the question is asked as an administrator."""
        return self.route.as_admin

    @property
    def selection(self) -> Selection:
        """The rows that the request selects."""
        given = self.parameters
        return Selection(given.get("cluster_id", ()), given.get("project", ()), given.get("user", ()))

    @property
    def window(self) -> Window:
        """The time range of the request. A malformed timestamp is a `QuestionError`."""
        return window_of(self.parameters, self.now)

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that the request names, without unknown ones; empty means all columns of the shape.

        If all names are unknown, a `QuestionError` is raised.
        """
        if self.route.shape is None or not self.route.takes("field"):
            return ()
        chosen = choose_fields(self.parameters.get("field", ()), self.route.shape.columns, keys=False)
        return tuple(column.name for column in chosen.columns)


Handler = Callable[[ApiCall], Awaitable[ResourceResponse]]
"""Answers a call. Raises `QuestionError` and `StoreError`."""

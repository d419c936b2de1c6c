"""The request to the CEEMS REST API that an Infinity query makes."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from ceems_grpc.domain.questions.model import AsAdmin
from ceems_grpc.migrate.json_parts import as_object, objects
from ceems_grpc.migrate.report import CannotRewriteError, Json
from ceems_grpc.migrate.template_variables import clean, is_variable

_VARIABLE = r"\$\{[\w-]+(?::\w+)?\}|\$\w+|\[\[\w+\]\]"
_PATH = re.compile(
    rf"(?P<site>(?:[a-z]+://[^/?#]+|{_VARIABLE}))?"
    r"(?P<prefix>(?:/?[^?#]*?/)?api/v1)?/?"
    rf"(?P<resource>usage/(?:current|global|{_VARIABLE})|stats/(?:current|global|{_VARIABLE})"
    r"|units/verify|demo/\w+|units|users|projects|clusters)"
    rf"(?P<admin>/admin|/?(?:{_VARIABLE}))?/?"
)


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A request. ``mode`` is empty if the resource has none. ``admin`` is "auto" if a variable decides."""

    query_type: str
    mode: str
    admin: AsAdmin
    parameters: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return the non-empty values of a parameter."""
        return [value for key, value in self.parameters if key == name and value]

    def has(self, name: str) -> bool:
        """Return whether a parameter is present, with or without a value."""
        return any(key == name for key, _ in self.parameters)


def read_call(query: Json) -> ApiCall | None:
    """Read the request of an Infinity query; None if it does not go to the CEEMS API.

    A relative URL may leave ``/api/v1`` to the data source; an absolute URL must contain it. Raises
    `CannotRewriteError` for a request to the API that no query of ours can replace.
    """
    url = query.get("url")
    if not isinstance(url, str) or query.get("source", "url") != "url":
        return None
    path, _, text = clean(url).partition("?")
    match = _PATH.fullmatch(clean(path))
    if match is None or (match["site"] and not match["prefix"]):
        return None
    options = as_object(query.get("url_options"))
    method = str(options.get("method") or "GET").upper()
    if method != "GET":
        raise CannotRewriteError(f"the request is a {method}; the API takes GET only")
    resource, _, mode = match["resource"].partition("/")
    if resource == "demo" or mode == "verify":
        raise CannotRewriteError(f"there is no query for /{match['resource']}")
    suffix = (match["admin"] or "").strip("/")
    admin: AsAdmin = "auto" if is_variable(suffix) else suffix == "admin"
    return ApiCall(resource, mode, admin, (*_from_text(text), *_from_options(options.get("params"))))


def _from_text(text: str) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for part in text.split("&") if part]
    return [(clean(unquote_plus(name)), clean(unquote_plus(value))) for name, _, value in pairs]


def _from_options(params: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - whatever the dashboard holds
    pairs = [(clean(str(item.get("key", ""))), clean(str(item.get("value", "")))) for item in objects(params)]
    return [(name, value) for name, value in pairs if name]

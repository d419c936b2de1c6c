"""The rows that Infinity takes from an answer: root selectors and UQL pipelines."""

import re
from dataclasses import dataclass, field

from ceems_grpc.migrate.expressions.parser import parse
from ceems_grpc.migrate.expressions.tree import Expression
from ceems_grpc.migrate.report import CannotRewriteError, Json
from ceems_grpc.migrate.template_variables import clean

_ROOT = re.compile(
    r"(?:\$\$?\.|\.)?data(?P<path>\.\w+)?(?:\[\]|\[\*\])?(?:\[(?P<predicate>[^\[\]]*[^\[\]\s*])\])?"
    r"(?:\^\((?P<order>[^()]*)\))?(?:\[\])?"
)
_INDEX = re.compile(r"\d+")
_ITEM = re.compile(r'\s*(?:"(?P<alias>[^"]+)"\s*=\s*)?"(?P<selector>[^"]+)"\s*')
_ORDER = re.compile(r'\s*"(?P<name>[^"]+)"(?:\s+(?P<way>asc|desc))?\s*')


@dataclass(slots=True)
class RowSelector:
    """The rows of ``data`` that a query takes.

    ``path``: a list inside each row whose items are the rows. ``order``: names; "-" before a name means descending.
    ``columns``: Infinity's column objects if the pipeline names columns, else None.
    """

    path: str = ""
    condition: Expression | None = None
    order: list[str] = field(default_factory=list)
    limit: int | None = None
    columns: list[Json] | None = None


def rows_of(query: Json) -> RowSelector:
    """Read which rows an Infinity query takes. Raises `CannotRewriteError` if it does more than select rows."""
    kind, parser = str(query.get("type") or "json"), str(query.get("parser") or "simple")
    if kind == "uql" or parser == "uql":
        return uql_rows(str(query.get("uql") or ""))
    if kind != "json" or parser == "groq":
        raise CannotRewriteError(
            f"its type is '{parser if kind == 'json' else kind}'; only json and uql are understood"
        )
    return root_rows(str(query.get("root_selector") or ""))


def root_rows(selector: str) -> RowSelector:
    """Read a root selector: ``data``, ``$.data[]``, ``data.projects[*]``, ``data[state="X"]``, ``data^(>elapsed)``."""
    text = clean(selector)
    match = _ROOT.fullmatch(text)
    if match is None:
        raise CannotRewriteError(
            f"the root selector '{text}' does more than take rows of 'data'" if text else "it has no root selector"
        )
    rows = RowSelector(path=(match["path"] or "").removeprefix("."))
    if predicate := match["predicate"]:
        if _INDEX.fullmatch(predicate):
            if predicate != "0":
                raise CannotRewriteError(f"the root selector '{text}' takes one row from the middle")
            rows.limit = 1
        else:
            rows.condition = parse(predicate)
    for item in filter(None, (part.strip() for part in (match["order"] or "").split(","))):
        name = item.lstrip("<> ").strip()
        rows.order.append(f"-{name}" if item.startswith(">") else name)
    if rows.limit and rows.order:
        raise CannotRewriteError(f"the root selector '{text}' sorts after it has chosen a row")
    return rows


def uql_rows(pipeline: str) -> RowSelector:
    """Read a UQL pipeline of parse-json, scope, jsonata, where, project, order by and limit."""
    rows, found = RowSelector(), False
    for command in _split(pipeline, "|"):
        word, _, rest = command.strip().partition(" ")
        match word.lower():
            case "parse-json" | "":
                pass
            case "scope" | "jsonata" if not (found and rest.strip().strip("\"'") == "data"):
                text = rest.strip()[1:-1]
                rows = _scoped(rows, text) if found else root_rows(text)
                found = True
            case "where":
                if rows.columns is not None or rows.condition is not None or rows.limit:
                    raise CannotRewriteError("its UQL filters after it has chosen columns or rows")
                rows.condition = parse(rest, quoted_names=True)
            case "project" if rows.columns is None:
                rows.columns = [_projected(item) for item in _split(rest, ",")]
            case "order" if rest.strip().startswith("by ") and not rows.limit:
                rows.order += [_ordered(item) for item in _split(rest.strip()[3:], ",")]
            case "limit" if rest.strip().isdigit() and rest.strip() != "0":
                rows.limit = min(int(rest), rows.limit or int(rest))
            case _:
                raise CannotRewriteError(f"the UQL command '{command.strip()}' is not understood")
    if not found:
        raise CannotRewriteError("its UQL does not take the rows of 'data'")
    return rows


def _scoped(rows: RowSelector, text: str) -> RowSelector:
    """Take the items of a list in each row as rows: jsonata "[projects]", scope "projects"."""
    path = clean(text).strip("[]*").removeprefix("$.").removesuffix("[*]").removesuffix("[]")
    if not re.fullmatch(r"\w+", path) or rows.path:
        raise CannotRewriteError(f"the UQL command with '{text}' is not understood")
    rows.path = path
    return rows


def _projected(item: str) -> Json:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise CannotRewriteError(f"'project {item.strip()}' of its UQL computes something")
    return {"selector": match["selector"], "text": match["alias"] or "", "type": "string", "untyped": True}


def _ordered(item: str) -> str:
    match = _ORDER.fullmatch(item)
    if match is None:
        raise CannotRewriteError(f"'order by {item.strip()}' of its UQL is not understood")
    return f"-{match['name']}" if match["way"] == "desc" else match["name"]


def _split(text: str, sign: str) -> list[str]:
    """Split at a sign outside of quotes."""
    parts, quote = [""], ""
    for character in text:
        if character == sign and not quote:
            parts.append("")
            continue
        if character in "\"'" and quote in {"", character}:
            quote = "" if quote else character
        parts[-1] += character
    return parts

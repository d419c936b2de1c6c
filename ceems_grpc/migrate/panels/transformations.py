"""A panel's transformations: extractions from JSON text are dropped, and columns keep their names."""

import re
from collections.abc import Sequence
from typing import Any

from ceems_grpc.migrate.json_parts import as_object, as_text, objects
from ceems_grpc.migrate.queries.computed import together
from ceems_grpc.migrate.queries.fields import QueryField
from ceems_grpc.migrate.queries.target import Rewritten, organise
from ceems_grpc.migrate.report import CannotRewriteError, Json
from ceems_grpc.migrate.template_variables import VARIABLE, has_variable

_EXTRACTORS = {"", "json", "auto"}
_JSON_KEY = re.compile(r"""\[\s*(?:"([^"]+)"|'([^']+)')\s*\]""")


def rewrite_transformations(rewritten: Sequence[Rewritten], transformations: Any) -> list[Json]:  # noqa: ANN401
    """Return the transformations of the panel, new ones first. Keys that were extracted become fields of the queries.

    Raises `CannotRewriteError` if a transformation extracts from a column that is not a JSON object here.
    """
    rest = _without_extractions(rewritten, objects(transformations))
    rest = _without_time_parsing(rewritten, rest)
    rest = _without_sums(rewritten, rest)
    return [*first_steps(rewritten), *rest]


def first_steps(rewritten: Sequence[Rewritten]) -> list[Json]:
    """Return the steps that give answers the columns that the panel had before its own transformations."""
    steps: list[Json] = []
    for query in rewritten:
        own = [*renaming(query.fields), *query.steps]
        if len(rewritten) > 1:
            own = [step | {"filter": {"id": "byRefId", "options": query.ref_id}} for step in own]
        steps += own
    return steps


def renaming(fields: Sequence[QueryField]) -> list[Json]:
    """Return transformations that give fields their texts."""
    plain: dict[str, str] = {}
    steps: list[Json] = []
    for field in fields:
        if field.is_object:
            # Every key is a column; "$1" is the key.
            text = "$1" if not field.text else field.text if "$1" in field.text else f"{field.text} $1"
            if field.text != field.name:
                steps.append(_by_regex(re.escape(field.name) + r"\.(.*)", text))
        elif field.text != field.name:
            if has_variable(field.name):  # Grafana replaces variables in the values of options, not in keys
                steps.append(_by_regex(_escaped(field.name), field.text))
            else:
                plain[field.name] = field.text
    return [*([organise(rename=plain)] if plain else []), *steps]


def _by_regex(pattern: str, text: str) -> Json:
    return {"id": "renameByRegex", "options": {"regex": f"/^{pattern}$/", "renamePattern": text}}


def _escaped(name: str) -> str:
    parts, position = [], 0
    for match in VARIABLE.finditer(name):
        parts += [re.escape(name[position : match.start()]), match[0]]
        position = match.end()
    return "".join((*parts, re.escape(name[position:])))


def _without_extractions(rewritten: Sequence[Rewritten], steps: list[Json]) -> list[Json]:
    kept: list[Json] = []
    for step in steps:
        source = as_text(as_object(step.get("options")).get("source"))
        owner = next((q for q in rewritten if any(source in {f.text, f.name} for f in q.fields)), None)
        if step.get("id") != "extractFields" or step.get("disabled") or owner is None:
            kept.append(step)
            continue
        field = next(f for f in owner.fields if source in {f.text, f.name})
        options = step["options"]
        if not field.is_object:
            raise CannotRewriteError(f"a transformation takes '{source}' apart, which is not a JSON object here")
        if as_text(options.get("format")) not in _EXTRACTORS or options.get("replace"):
            raise CannotRewriteError(f"a transformation takes '{source}' apart in a way that is not understood")
        _extract(owner, field, options.get("jsonPaths"))
    for query in rewritten:
        for field in query.fields:
            if field.is_object and "$1" not in field.text:
                query.notes.append(f"'{field.text}' was JSON text and is now one column per key")
    return kept


def _extract(query: Rewritten, field: QueryField, paths: Any) -> None:  # noqa: ANN401 - from the dashboard
    """Replace the field for an object by fields for its keys."""
    wanted = [path for path in objects(paths) if path.get("path")]
    place = query.fields.index(field)
    if not wanted:
        field.text = "$1"
        return
    keys: list[QueryField] = []
    for path in wanted:
        key = _JSON_KEY.sub(lambda match: "." + (match[1] or match[2]), str(path["path"])).removeprefix("$")
        keys.append(
            QueryField(
                f"{field.name}.{key.removeprefix('.')}", str(path.get("alias") or path["path"]), "", field.column
            )
        )
    query.fields[place : place + 1] = keys


def _without_time_parsing(rewritten: Sequence[Rewritten], steps: list[Json]) -> list[Json]:
    """Drop conversions to time of columns that are times already."""
    moments = {f.text for q in rewritten for f in q.fields if f.name in {"created_at", "started_at", "ended_at"}}
    kept: list[Json] = []
    for step in steps:
        options = as_object(step.get("options"))
        conversions = objects(options.get("conversions"))
        if step.get("id") != "convertFieldType":
            kept.append(step)
            continue
        left = [
            c
            for c in conversions
            if not (as_text(c.get("targetField")) in moments and c.get("destinationType") == "time")
        ]
        if left == conversions:
            kept.append(step)
        elif left:
            kept.append(step | {"options": options | {"conversions": left}})
    return kept


def _without_sums(rewritten: Sequence[Rewritten], steps: list[Json]) -> list[Json]:
    """Read sums of CPU and GPU from the data source, which has them even if no unit has a GPU.

    Only the first transformations are replaced: later ones may refer to renamed columns.
    """
    if len(rewritten) != 1:
        return steps
    query = rewritten[0]
    names = {f.text: f.name for f in query.fields}
    for index, step in enumerate(steps):
        if step.get("id") != "calculateField" or step.get("disabled") or step.get("filter"):
            return steps
        options = as_object(step.get("options"))
        operands = _operands(options)
        pair = [names.get(operand, "") for operand in operands]
        sum_ = together(pair[0], pair[1]) if len(pair) == 2 else None
        if sum_ is None or options.get("replaceFields"):
            continue
        alias = as_text(options.get("alias")) or " + ".join(operands)
        query.fields.append(QueryField(sum_[0], alias, "number", sum_[1]))
        names[alias] = sum_[0]
        return [*steps[:index], *_without_sums(rewritten, steps[index + 1 :])]
    return steps


def _operands(options: Json) -> list[str]:
    """Return the columns that a calculation adds up; empty for any other calculation."""
    if options.get("mode") == "binary":
        binary = as_object(options.get("binary"))
        if binary.get("operator", "+") != "+":
            return []
        return [_operand(binary.get(side)) for side in ("left", "right")]
    reduce = as_object(options.get("reduce"))
    if options.get("mode", "reduceRow") == "reduceRow" and reduce.get("reducer", "sum") == "sum":
        include = reduce.get("include")
        return [str(name) for name in include] if isinstance(include, list) else []
    return []


def _operand(side: Any) -> str:  # noqa: ANN401 - from the dashboard
    if isinstance(side, str):
        return side
    matcher = as_object(as_object(side).get("matcher"))
    return as_text(matcher.get("options")) if matcher.get("id") == "byName" else ""

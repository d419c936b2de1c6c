"""One target of a panel: an Infinity query becomes our query and the transformations that its answer needs."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ceems_grpc.migrate.expressions.parser import parse
from ceems_grpc.migrate.expressions.tree import Expression
from ceems_grpc.migrate.json_parts import as_object, objects
from ceems_grpc.migrate.queries.api_call import ApiCall, read_call
from ceems_grpc.migrate.queries.computed import binary, by_name, compute, while_running
from ceems_grpc.migrate.queries.conditions import frontend_filters, read_conditions
from ceems_grpc.migrate.queries.draft import draft_query
from ceems_grpc.migrate.queries.fields import COLUMNS, CopiedField, QueryField, fields_of, make_query_field
from ceems_grpc.migrate.queries.row_selector import RowSelector, rows_of
from ceems_grpc.migrate.report import CannotRewriteError, Json
from ceems_grpc.schema import Kind

_EVERYTHING = {"pagination_mode": {"", "none"}, "format": {"", "table", "timeseries"}}


@dataclass(slots=True)
class Rewritten:
    """A query, its fields, and the transformations and overrides that the panel needs.

    ``query``: without the list of fields. ``steps``: transformations that follow the renaming of fields.
    """

    ref_id: str
    query: Json
    fields: list[QueryField]
    steps: list[Json] = field(default_factory=list)
    overrides: list[Json] = field(default_factory=list)
    time_from: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def query_type(self) -> str:
        """The kind of the query."""
        return str(self.query["queryType"])

    def target(self) -> Json:
        """Return the query with its fields, without the keys that Grafana adds to targets."""
        names = list(dict.fromkeys(field.name for field in self.fields))
        return self.query | ({"fields": names} if names else {})


def rewrite_target(target: Json, *, admin_auto: bool = False) -> Rewritten | None:
    """Rewrite an Infinity query; None if it does not read the CEEMS API. Raises `CannotRewriteError`."""
    call = read_call(target)
    if call is None:
        return None
    _check_settings(target)
    draft = draft_query(call, admin_auto=admin_auto)
    rows = rows_of(target)
    if rows.path:
        raise CannotRewriteError(f"its rows are the '{rows.path}' inside each row")
    columns = target.get("columns") if rows.columns is None else rows.columns
    fields, copies = fields_of(call.query_type, columns, call.values("field"))
    rewritten = Rewritten(str(target.get("refId") or ""), draft.query, fields)
    rewritten.time_from, rewritten.notes = draft.time_from, draft.notes
    _add_copies(rewritten, copies)
    find = _finder(call, rewritten, copies)
    _choose_rows(target, rows, rewritten, find)
    _add_conversions(rewritten)
    _add_computed(target, rewritten, find)
    _add_filters(target, rewritten, find)
    if target.get("format") == "timeseries":
        _as_series(rewritten)
    _hint(target, rewritten)
    return rewritten


def _check_settings(target: Json) -> None:
    for key, harmless in _EVERYTHING.items():
        if str(target.get(key) or "") not in harmless:
            raise CannotRewriteError(f"its {key.replace('_', ' ')} is '{target[key]}'")
    if target.get("summarizeExpression"):
        raise CannotRewriteError(f"it summarises with '{target['summarizeExpression']}'")
    if target.get("global_query_id"):
        raise CannotRewriteError("it is a global query of the Infinity data source")
    options = as_object(target.get("json_options"))
    if options.get("root_is_not_array") or options.get("columnar"):
        raise CannotRewriteError("its JSON options read the answer as something else than a list of rows")


def _add_copies(rewritten: Rewritten, copies: list[CopiedField]) -> None:
    """Let the panel repeat columns that the query names twice, as the panel did before."""
    for item in copies:
        text, repeated = item.original.text, item.copy.text
        rewritten.steps.append(binary(repeated, by_name(text), "+", {"fixed": "0"}))
        rewritten.notes.append(
            f"'{repeated}' reads {item.copy.name} again, as '{text}' does; it is kept, but check which column it means"
        )


def _finder(call: ApiCall, rewritten: Rewritten, copies: list[CopiedField]) -> Callable[[str], QueryField]:
    """Return a function that finds a field by its display text, by its name, or as a column that is not shown."""

    def find(name: str) -> QueryField:
        plain = name[1:-1] if name.startswith("[") and not name.startswith("[[") else name
        for field_ in (*rewritten.fields, *(item.copy for item in copies)):
            if plain in {field_.text, field_.name, field_.text.replace(" ", "_")}:
                return field_
        return make_query_field(call.query_type, plain)

    return find


def _choose_rows(target: Json, rows: RowSelector, rewritten: Rewritten, find: Callable[[str], QueryField]) -> None:
    conditions: list[Expression] = [] if rows.condition is None else [rows.condition]
    if str(target.get("parser") or "simple") == "simple" and target.get("type", "json") != "uql":
        shown = frontend_filters(target.get("filters"))
        conditions += [] if shown is None else [shown]
    for condition in conditions:
        _filter(rewritten, condition, find)
    if rows.limit and rewritten.steps:
        raise CannotRewriteError("it takes the first rows of what is left after a filter that only the panel can apply")
    if rows.limit:
        rewritten.query["limit"] = rows.limit
    order = [("-" if name.startswith("-") else "") + find(name.removeprefix("-")).name for name in rows.order]
    if order:
        rewritten.query["orderBy"] = order


def _filter(rewritten: Rewritten, condition: Expression, find: Callable[[str], QueryField]) -> None:
    found = read_conditions(rewritten.query_type, condition, find)
    if found.filters:
        rewritten.query.setdefault("filters", []).extend(found.filters)
    shown = {field_.text for field_ in rewritten.fields}
    for step in found.steps:
        for item in step["options"]["filters"]:
            if rewritten.fields and item["fieldName"] not in shown:
                raise CannotRewriteError(f"its filter is on '{item['fieldName']}', which is not a column of it")
    rewritten.steps += found.steps


def _add_filters(target: Json, rewritten: Rewritten, find: Callable[[str], QueryField]) -> None:
    if text := str(target.get("filterExpression") or "").strip():
        _filter(rewritten, parse(text), find)


def _add_conversions(rewritten: Rewritten) -> None:
    """Keep the types that the panel expects if ours differ: numbers as texts, numbers as moments."""
    wanted: list[Json] = []
    for item in rewritten.fields:
        if item.is_number and not item.is_object and item.type_ == "string" and not item.column.name.endswith("_ts"):
            wanted.append({"targetField": item.text, "destinationType": "string"})
        elif item.is_number and item.type_ == "timestamp_epoch":
            wanted.append({"targetField": item.text, "destinationType": "time"})
        if item.name == "ended_at_ts" and item.type_ != "timestamp_epoch":
            rewritten.overrides.append(while_running(item.text))
    if wanted:
        rewritten.steps.append({"id": "convertFieldType", "options": {"conversions": wanted, "fields": {}}})


def _add_computed(target: Json, rewritten: Rewritten, find: Callable[[str], QueryField]) -> None:
    dropped: list[str] = []
    for column in objects(target.get("computed_columns")):
        selector, alias = str(column.get("selector") or "").strip(), str(column.get("text") or "").strip()
        if not selector:
            continue
        made = compute(alias or selector, parse(selector), find)
        rewritten.fields += [] if made.sum is None else [made.sum]
        rewritten.steps += made.steps
        rewritten.overrides += made.overrides
        rewritten.notes += made.notes
        dropped += made.dropped
    if dropped:
        rewritten.steps.append(organise(exclude=dropped))


def organise(*, rename: dict[str, str] | None = None, exclude: list[str] | None = None) -> Json:
    """Return Grafana's transformation that renames and removes columns."""
    options = {
        "excludeByName": dict.fromkeys(exclude or [], True),
        "includeByName": {},
        "indexByName": {},
        "renameByName": rename or {},
    }
    return {"id": "organize", "options": options}


def _as_series(rewritten: Rewritten) -> None:
    moments = [item.name for item in rewritten.fields if item.column.kind is Kind.TIME and not item.is_number]
    if len(moments) != 1:
        raise CannotRewriteError("its format is 'timeseries', and it does not have just one column with times")
    rewritten.query.setdefault("orderBy", moments)
    if any(not item.is_number and item.name not in moments for item in rewritten.fields):
        rewritten.steps.append({"id": "prepareTimeSeries", "options": {"format": "multi"}})


def _hint(target: Json, rewritten: Rewritten) -> None:
    headers = as_object(target.get("url_options")).get("headers")
    names = {str(header.get("key", "")).lower() for header in objects(headers)}
    if "x-grafana-user" in names:
        rewritten.notes.append("it named a user in a header; the query is asked as whoever looks at the panel")
    if not rewritten.fields and rewritten.query_type in COLUMNS:
        rewritten.notes.append("it chose no columns; objects that were JSON text are now one column per key")

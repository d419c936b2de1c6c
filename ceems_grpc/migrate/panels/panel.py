"""One panel: its targets, transformations, display settings and links."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ceems_grpc.migrate.json_parts import objects
from ceems_grpc.migrate.panels.field_config import rewrite_field_config
from ceems_grpc.migrate.panels.links import shorten_links
from ceems_grpc.migrate.panels.transformations import first_steps, rewrite_transformations
from ceems_grpc.migrate.queries.api_call import read_call
from ceems_grpc.migrate.queries.target import Rewritten, rewrite_target
from ceems_grpc.migrate.references import References, mixed, plugin_of, reference_type
from ceems_grpc.migrate.report import CEEMS, INFINITY, CannotRewriteError, Finding, Json

_KEPT = ("refId", "hide", "key")
_EXPRESSIONS = {"__expr__", "grafana-expression"}


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a migration. An empty ``datasource_uid``: a variable or the import selects the data source.

    ``only_uids``: rewrite only targets of these Infinity data sources; empty means all.
    """

    datasource_uid: str = ""
    admin_auto: bool = False
    short_links: bool = False
    unit_dashboard: str = "ceems-unit"
    only_uids: tuple[str, ...] = ()


def reads_ceems(target: Any, datasource: Any, dashboard: Json, options: Options) -> bool:  # noqa: ANN401
    """Return whether a target (or the query of a variable) asks the CEEMS API through Infinity.

    ``datasource``: that of the panel, for a target that has none of its own.
    """
    if not isinstance(target, dict):
        return False
    # A target of a mixed panel that names no data source asks the default one.
    reference = target.get("datasource") or (None if _is_mixed(datasource) else datasource)
    plugin = plugin_of(reference, dashboard)
    if plugin not in {"", INFINITY} or (not plugin and "url_options" not in target):
        return False
    uid = reference.get("uid") if isinstance(reference, dict) else reference
    if options.only_uids and uid not in options.only_uids:
        return False
    try:
        return read_call(target) is not None
    except CannotRewriteError:
        return True


def rewrite_panel(
    panel: Json, dashboard: Json, references: References, options: Options, *, dependents: list[Json], where: str
) -> list[Finding]:
    """Rewrite a panel in place: all of its targets that read the CEEMS API, or none of them.

    ``dependents``: panels that show the results of this one. Transformations keep the column names that they expect.
    """
    targets = panel.get("targets")
    targets = targets if isinstance(targets, list) else []
    ours = [target for target in targets if reads_ceems(target, panel.get("datasource"), dashboard, options)]
    if not ours:
        return []
    rewritten: list[Rewritten] = []
    failed: list[Finding] = []
    for target in ours:
        try:
            made = rewrite_target(target, admin_auto=options.admin_auto)
        except CannotRewriteError as error:
            failed.append(Finding(where, _named(target), str(error), left=True))
        else:
            rewritten += [] if made is None else [made]
    if failed:
        others = [query for query in rewritten if query.ref_id not in {f.what.partition(" ")[2] for f in failed}]
        return failed + [
            Finding(where, f"target {query.ref_id}", "another target of the panel cannot be rewritten", left=True)
            for query in others
        ]
    try:
        foreign = [target for target in targets if target not in ours]
        draft = _draft(panel, rewritten, foreign, options, dependents)
    except CannotRewriteError as error:
        return [Finding(where, _named(target), str(error), left=True) for target in ours]
    old = {id(target): target.get("datasource") or panel.get("datasource") for target in ours}
    made_of = dict(zip(map(id, ours), rewritten, strict=True))
    panel["targets"] = [
        _target(target, made_of[id(target)], references.make(old[id(target)])) if id(target) in made_of else target
        for target in targets
    ]
    panel |= draft
    _name_datasource(panel, references, old[id(ours[0])])
    steps = first_steps(rewritten)
    for dependent in dependents if steps else []:
        dependent["transformations"] = [*deepcopy(steps), *objects(dependent.get("transformations"))]
    return [Finding(where, f"target {query.ref_id}", note, left=False) for query in rewritten for note in query.notes]


def _named(target: Json) -> str:
    return f"target {target.get('refId') or '(without name)'}"


def _draft(
    panel: Json,
    rewritten: list[Rewritten],
    foreign: list[Any],
    options: Options,
    dependents: list[Json],
) -> Json:
    """Return the keys of the panel that change. Neither the panel nor its dependents are modified."""
    _check_expressions(rewritten, foreign)
    for dependent in dependents:
        rewrite_transformations(deepcopy(rewritten), dependent.get("transformations"))
        if any(step.get("id") == "extractFields" for step in objects(dependent.get("transformations"))):
            raise CannotRewriteError(f"panel '{dependent.get('title')}' takes JSON text of its answer apart")
    draft: Json = {"fieldConfig": deepcopy(panel.get("fieldConfig"))}
    single = len(rewritten) == 1 and not foreign
    transformations = rewrite_transformations(rewritten, panel.get("transformations"))
    if foreign:  # our steps apply to our answers only
        transformations = _for_own_answers(rewritten, transformations)
    if options.short_links and single and shorten_links(draft, rewritten[0], options.unit_dashboard):
        rewritten[0].notes.append("links to the dashboard of one unit carry its uuid and cluster alone")
    rewrite_field_config(draft, rewritten, renames=bool(first_steps(rewritten)))
    if draft["fieldConfig"] is None:
        del draft["fieldConfig"]
    if transformations or "transformations" in panel:
        draft["transformations"] = transformations or panel["transformations"]
    _set_time_range(panel, draft, rewritten, foreign)
    return draft


def _for_own_answers(rewritten: list[Rewritten], steps: list[Json]) -> list[Json]:
    if len(rewritten) > 1:
        return steps
    count = len(first_steps(rewritten))
    only = {"filter": {"id": "byRefId", "options": rewritten[0].ref_id}}
    return [*(step | only for step in steps[:count]), *steps[count:]]


def _check_expressions(rewritten: list[Rewritten], foreign: list[Any]) -> None:
    """Check expressions. They read answers before transformations, and only SQL refers to the names of columns."""
    expressions = [t for t in foreign if isinstance(t, dict) and reference_type(t.get("datasource")) in _EXPRESSIONS]
    if any(expression.get("type") == "sql" for expression in expressions):
        raise CannotRewriteError("an SQL expression of the panel reads it by the names of its columns")
    for query in rewritten if expressions else []:
        if query.steps:
            raise CannotRewriteError("expressions of the panel read what only transformations can compute now")
        if query.query_type in {"usage", "stats"}:
            query.query["format"] = "numeric"


def _set_time_range(panel: Json, draft: Json, rewritten: list[Rewritten], foreign: list[Any]) -> None:
    """Keep the last 24 hours, the default time range of the API."""
    spans = {query.time_from for query in rewritten}
    if spans == {None} or panel.get("timeFrom"):
        return
    if len(spans) == 1 and not foreign:
        draft["timeFrom"] = spans.pop()
        return
    for query in rewritten:
        if query.time_from:
            query.notes.append("the request was about the last 24 hours; the query takes the panel's time range")


def _target(old: Json, rewritten: Rewritten, reference: Json) -> Json:
    return {key: old[key] for key in _KEPT if key in old} | {"datasource": reference} | rewritten.target()


def _name_datasource(panel: Json, references: References, old: Any) -> None:  # noqa: ANN401 - from the dashboard
    if _is_mixed(panel.get("datasource")):
        return
    plugins = {
        reference_type(target.get("datasource") or panel.get("datasource")) for target in objects(panel["targets"])
    }
    if plugins - _EXPRESSIONS == {CEEMS}:
        panel["datasource"] = references.make(panel.get("datasource") or old)
    else:
        for target in objects(panel["targets"]):
            target.setdefault("datasource", panel.get("datasource"))
        panel["datasource"] = mixed()


def _is_mixed(reference: Any) -> bool:  # noqa: ANN401 - from the dashboard
    return (reference.get("uid") if isinstance(reference, dict) else reference) == "-- Mixed --"

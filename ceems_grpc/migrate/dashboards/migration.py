"""A whole dashboard: variables, panels (also in rows and from the library), inputs and lists of plugins."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ceems_grpc.migrate.dashboards.schema_v2 import ClassicView
from ceems_grpc.migrate.dashboards.variables import infinity_query, rewrite_variable_query
from ceems_grpc.migrate.json_parts import as_object, as_text, objects
from ceems_grpc.migrate.panels.panel import Options, reads_ceems, rewrite_panel
from ceems_grpc.migrate.references import References, plugin_of
from ceems_grpc.migrate.report import INFINITY, CannotRewriteError, Finding, Json

_GROUP = "dashboard.grafana.app/"
_SCHEMA_V2 = f"{_GROUP}v2"
_KNOWN_VERSIONS = (f"{_GROUP}v0", f"{_GROUP}v1", _SCHEMA_V2)
_KINDS = {"Dashboard", "DashboardWithAccessInfo"}


class NotADashboardError(Exception):
    """The JSON is not a dashboard that can be rewritten. The message says why."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A rewritten copy of a dashboard, and the findings about it."""

    dashboard: Json
    findings: tuple[Finding, ...]

    @property
    def left(self) -> tuple[Finding, ...]:
        """The findings about parts that were not rewritten."""
        return tuple(finding for finding in self.findings if finding.left)


def migrate(document: Any, options: Options | None = None) -> Migration:  # noqa: ANN401 - anything that was a file
    """Rewrite a copy of a dashboard, in any of the wrappings that Grafana writes.

    Raises `NotADashboardError`.
    """
    copy = deepcopy(document)
    dashboard, version = _dashboard_in(copy)
    if not _is_v2(dashboard, version):
        return Migration(copy, tuple(_rewrite(dashboard, options or Options())))
    view = ClassicView(dashboard, version)
    findings = _rewrite(view.dashboard, options or Options())
    view.write_back()
    return Migration(copy, tuple(findings))


def _dashboard_in(document: Any) -> tuple[Json, str]:  # noqa: ANN401 - anything that was a file
    """Find the dashboard: the file itself, ``dashboard`` of an answer of the HTTP API, ``spec`` of a resource.

    A resource is what git sync and the newer HTTP API write. Returns the version of the API with it; it may be empty.
    """
    if not isinstance(document, dict):
        raise NotADashboardError("The file holds JSON, but not an object as a dashboard is.")
    dashboard: Json = document
    version = _checked_version(dashboard)
    while "panels" not in dashboard and "elements" not in dashboard:
        inner = [dashboard[key] for key in ("dashboard", "spec") if isinstance(dashboard.get(key), dict)]
        if not inner:
            break
        dashboard = inner[0]
        version = _checked_version(dashboard) or version
    if _is_v2(dashboard, version):
        if not isinstance(dashboard.get("elements"), dict):
            raise NotADashboardError(
                "The file has Grafana's schema v2, but no object 'elements', which holds its panels."
            )
    elif not isinstance(dashboard.get("panels"), list) and not isinstance(dashboard.get("rows"), list):
        raise NotADashboardError("The file is not a dashboard: it has none of 'panels', 'rows' and 'elements'.")
    return dashboard, version


def _checked_version(part: Json) -> str:
    """Return the version of a resource. Refuses versions that are not known, and resources that are not dashboards."""
    version, kind = as_text(part.get("apiVersion")), as_text(part.get("kind"))
    if version.startswith(_GROUP) and not version.startswith(_KNOWN_VERSIONS):
        raise NotADashboardError(
            f"The dashboard has Grafana's schema {version.removeprefix(_GROUP)[:50]}. This command does not know it. "
            "Export it as V2 Resource or in the classic form and try again."
        )
    if kind and kind not in _KINDS:
        raise NotADashboardError(f"The file holds a {kind[:50]}, not a dashboard.")
    return version


def _is_v2(dashboard: Json, version: str) -> bool:
    """Return whether a dashboard has schema v2, by its version or its layout."""
    return version.startswith(_SCHEMA_V2) or any(isinstance(dashboard.get(key), dict) for key in ("elements", "layout"))


def _rewrite(dashboard: Json, options: Options) -> list[Finding]:
    references = References(dashboard, options.datasource_uid)
    findings = _variables(dashboard, references, options)
    panels = list(_panels(dashboard))
    shown_elsewhere = _dependents([panel for panel, _ in panels])
    for panel, where in panels:
        dependents = shown_elsewhere.get(str(panel.get("id")), [])
        findings += rewrite_panel(panel, dashboard, references, options, dependents=dependents, where=where)
        if isinstance(panel.get("libraryPanel"), dict) and not _is_element(panel, dashboard):
            why = "it is not part of the file; export the dashboard with its library panels to rewrite it"
            findings.append(Finding(where, "library panel", why, left=False))
    findings += _annotations(dashboard, options)
    references.settle()
    return findings


def _panels(dashboard: Json) -> Iterator[tuple[Json, str]]:
    """Walk over panels: at the top, in rows of old and new schemas, and library panels that an export includes."""
    yield from _nested(dashboard.get("panels"))
    for row in objects(dashboard.get("rows")):
        yield from _nested(row.get("panels"))
    elements = dashboard.get("__elements")
    for element in objects(list(elements.values()) if isinstance(elements, dict) else elements):
        if isinstance(element.get("model"), dict):
            yield element["model"], f"library panel '{element.get('name') or element['model'].get('title') or ''}'"


def _nested(panels: Any) -> Iterator[tuple[Json, str]]:  # noqa: ANN401 - from the dashboard
    for panel in objects(panels):
        yield panel, f"panel '{panel.get('title') or panel.get('id') or ''}'"
        yield from _nested(panel.get("panels"))


def _dependents(panels: list[Json]) -> dict[str, list[Json]]:
    """Return, by the id of a panel, the panels that show its results from before its transformations."""
    found: dict[str, list[Json]] = {}
    for panel in panels:
        for target in objects(panel.get("targets")):
            if "panelId" in target and not target.get("withTransforms"):
                found.setdefault(str(target["panelId"]), []).append(panel)
    return found


def _is_element(panel: Json, dashboard: Json) -> bool:
    elements = dashboard.get("__elements")
    uid = panel["libraryPanel"].get("uid")
    if isinstance(elements, dict):
        return as_text(uid) in elements
    return any(item.get("uid") == uid for item in objects(elements))


def _variables(dashboard: Json, references: References, options: Options) -> list[Finding]:
    findings: list[Finding] = []
    for variable in objects(as_object(dashboard.get("templating")).get("list")):
        query = infinity_query(variable)
        if query is None or not reads_ceems(query, variable.get("datasource"), dashboard, options):
            continue
        where = f"variable '{variable.get('name', '')}'"
        try:
            made = rewrite_variable_query(query, admin_auto=options.admin_auto)
        except CannotRewriteError as error:
            findings.append(Finding(where, "query", str(error), left=True))
            continue
        if made is not None:
            variable["query"], notes = made
            variable["datasource"] = references.make(variable.get("datasource"))
            findings += [Finding(where, "query", note, left=False) for note in notes]
    return findings


def _annotations(dashboard: Json, options: Options) -> list[Finding]:
    """Report annotations, which stay: ours show units, not columns that a dashboard selects."""
    findings: list[Finding] = []
    for item in objects(as_object(dashboard.get("annotations")).get("list")):
        if plugin_of(item.get("datasource"), dashboard) != INFINITY:
            continue
        target = as_object(item.get("target"))
        queries = [target, target.get("infinityQuery")]
        if any(reads_ceems(query, item.get("datasource"), dashboard, options) for query in queries):
            why = "add an annotation of the CEEMS data source by hand: it shows units from start to end"
            findings.append(Finding(f"annotation '{item.get('name', '')}'", "query", why, left=True))
    return findings

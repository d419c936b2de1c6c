"""Writes classic dashboards in Grafana's schema v2, in its three forms. Shares no code with the package."""

from typing import Any

from ceems_grpc.migrate.report import Json

V2, BETA, ALPHA = "v2", "v2beta1", "v2alpha1"
FORMS = (V2, BETA, ALPHA)
_HIDE = ("dontHide", "hideLabel", "hideVariable")
_KINDS = {
    "query": "QueryVariable",
    "custom": "CustomVariable",
    "constant": "ConstantVariable",
    "textbox": "TextVariable",
}


def resource(board: Json, form: str, **more: Any) -> Json:
    """Return the resource that Grafana's git sync stores for a classic dashboard."""
    return {
        "apiVersion": f"dashboard.grafana.app/{form}",
        "kind": "Dashboard",
        "metadata": {"name": board["uid"], "annotations": {"grafana.app/folder": "f"}},
        "spec": spec(board, form) | more,
    }


def spec(board: Json, form: str) -> Json:
    panels = [p for panel in board["panels"] for p in (panel, *panel.get("panels", [])) if p.get("type") != "row"]
    return {
        "title": board["title"],
        "annotations": [_annotation(item, form) for item in board.get("annotations", {}).get("list", [])],
        "cursorSync": "Off",
        "elements": {f"panel-{panel['id']}": element(panel, form) for panel in panels},
        "layout": {"kind": "GridLayout", "spec": {"items": [_place(panel) for panel in panels]}},
        "variables": [variable(item, form) for item in board["templating"]["list"]],
        "timeSettings": {"from": "now-30d", "to": "now"},
    }


def element(panel: Json, form: str) -> Json:
    if "libraryPanel" in panel:
        part = {"id": panel["id"], "title": panel["title"], "libraryPanel": panel["libraryPanel"]}
        return {"kind": "LibraryPanel", "spec": part}
    options = {"timeFrom": panel["timeFrom"]} if "timeFrom" in panel else {}
    group: Json = {
        "queries": [_panel_query(target, panel.get("datasource"), form) for target in panel.get("targets", [])],
        "queryOptions": options,
    }
    if "transformations" in panel:
        group["transformations"] = [transformation(step, form) for step in panel["transformations"]]
    shown: Json = {"options": panel.get("options", {})}
    if panel.get("fieldConfig"):
        shown["fieldConfig"] = panel["fieldConfig"]
    if form == ALPHA:
        config: Json = {"kind": panel.get("type", ""), "spec": {"pluginVersion": "12.0.0", **shown}}
    else:
        config = {"kind": "VizConfig", "group": panel.get("type", ""), "version": "13.0.0", "spec": shown}
    data = {"kind": "QueryGroup", "spec": group}
    return {
        "kind": "Panel",
        "spec": {"id": panel["id"], "title": panel["title"], "links": [], "data": data, "vizConfig": config},
    }


def transformation(step: Json, form: str) -> Json:
    if form == V2:
        return {"kind": "Transformation", "group": step["id"], "spec": {k: v for k, v in step.items() if k != "id"}}
    return {"kind": step["id"], "spec": step}


def variable(item: Json, form: str) -> Json:
    common = {"name": item["name"], "label": item.get("label", "")}
    if item["type"] == "datasource":
        chosen = item.get("current") or {"text": "", "value": ""}
        more = {
            "pluginId": item["query"],
            "refresh": "onDashboardLoad",
            "regex": item.get("regex", ""),
            "current": chosen,
            "options": item.get("options", []),
            "multi": False,
            "includeAll": False,
            "hide": _HIDE[item.get("hide", 0)],
            "skipUrlSync": False,
            "allowCustomValue": True,
        }
        return {"kind": "DatasourceVariable", "spec": common | more}
    if item["type"] == "query":
        query = item["query"] if isinstance(item["query"], dict) else {"__legacyStringValue": item["query"]}
        return {"kind": "QueryVariable", "spec": common | _query(query, item.get("datasource"), form)}
    return {"kind": _KINDS[item["type"]], "spec": common | {"query": item.get("query", "")}}


def _panel_query(target: Json, datasource: Any, form: str) -> Json:
    inner = {key: value for key, value in target.items() if key not in {"refId", "hide", "datasource"}}
    own = _query(inner, target.get("datasource") or datasource, form)
    return {"kind": "PanelQuery", "spec": {"refId": target["refId"], "hidden": bool(target.get("hide")), **own}}


def _query(inner: Json, datasource: Any, form: str) -> Json:
    reference = datasource if isinstance(datasource, dict) else {"type": "", "uid": datasource or ""}
    plugin, uid = reference.get("type", ""), reference.get("uid", "")
    if form == ALPHA:
        return {"query": {"kind": plugin, "spec": inner}, "datasource": {"type": plugin, "uid": uid}}
    return {
        "query": {"kind": "DataQuery", "group": plugin, "version": "v0", "datasource": {"name": uid}, "spec": inner}
    }


def _annotation(item: Json, form: str) -> Json:
    own = _query(item.get("target") or {}, item.get("datasource"), form)
    return {"kind": "AnnotationQuery", "spec": {"name": item["name"], "enable": True, "hide": False, **own}}


def _place(panel: Json) -> Json:
    name = {"kind": "ElementReference", "name": f"panel-{panel['id']}"}
    return {"kind": "GridLayoutItem", "spec": {"x": 0, "y": 0, "width": 12, "height": 8, "element": name}}

"""Data links that carry the data of a unit as URL variables; they become links by uuid and cluster."""

import re
from typing import Any
from urllib.parse import quote

from ceems_grpc.migrate.json_parts import as_object, objects
from ceems_grpc.migrate.queries.fields import make_query_field
from ceems_grpc.migrate.queries.target import Rewritten
from ceems_grpc.migrate.report import Json
from ceems_grpc.migrate.template_variables import clean

_MANY = 8
_FACT = re.compile(r"[?&]var-\w+=[^&]*\$\{__data\.fields[.\[]")
_DASHBOARD = re.compile(r"^[^?]*/d(?:-solo)?/")


def shorten_links(panel: Json, query: Rewritten, unit_dashboard: str) -> int:
    """Replace links with eight or more URL variables by links to the dashboard of one unit; return their number.

    The time range of a link stays. Columns that the new links need are added as hidden columns.
    """
    config = panel.get("fieldConfig")
    found = [link for link in _links(config) if _is_long(link)]
    if query.query_type != "units" or not found:
        return 0
    uuid, cluster = (_column(query, config, name) for name in ("uuid", "cluster_id"))
    for link in found:
        link["url"] = (
            f"/d/{quote(unit_dashboard)}?var-uuid=${{__data.fields[{_quoted(uuid)}]:percentencode}}"
            f"&var-cluster_id=${{__data.fields[{_quoted(cluster)}]:percentencode}}{_times(str(link['url']))}"
        )
    return len(found)


def _links(config: Any) -> list[Json]:  # noqa: ANN401 - from the dashboard
    links = objects(as_object(as_object(config).get("defaults")).get("links"))
    for override in objects(as_object(config).get("overrides")):
        for item in objects(override.get("properties")):
            links += objects(item.get("value")) if item.get("id") == "links" else []
    return links


def _is_long(link: Json) -> bool:
    url = str(link.get("url") or "")
    return _DASHBOARD.match(url) is not None and len(_FACT.findall(url)) >= _MANY


def _column(query: Rewritten, config: Any, name: str) -> str:  # noqa: ANN401 - from the dashboard
    for field in query.fields:
        if field.name == name:
            return field.text
    if query.fields:  # without a list of fields the answer has all columns
        query.fields.append(make_query_field("units", name))
        properties = [
            {"id": "custom.hidden", "value": True},  # up to Grafana 12.1
            {"id": "custom.hideFrom", "value": {"viz": True, "legend": True, "tooltip": True}},
        ]
        override = {"matcher": {"id": "byName", "options": name}, "properties": properties}
        config["overrides"] = [*objects(config.get("overrides")), override]
    return name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '\\"') + '"'


def _times(url: str) -> str:
    parts = [clean(part) for part in url.partition("?")[2].split("&")]
    return "".join(f"&{part}" for part in parts if part.startswith(("from=", "to=")) and not part.endswith("="))

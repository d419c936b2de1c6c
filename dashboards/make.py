"""Generates the dashboards that ship with the plugin: run `make dashboards` after a change here.

The dashboards query only this data source and work for every viewer: members see their own data, administrators see
all data. One function makes all panels of a kind, so that they look alike and change together.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]
HERE = Path(__file__).parent
TYPE = "ceems-ceems-datasource"
SOURCE: Json = {"type": TYPE, "uid": "${datasource}"}
ENERGY, EMISSIONS = "total_energy_usage_kwh", "total_emissions_gms.${provider}"
WIDTH = 24


@dataclass(frozen=True)
class Words:
    """The terms that a resource manager's users know.

    `pool` is the word for what users submit to, and `pool_field` is the key that holds it. Both may be empty.
    """

    manager: str
    title: str
    units: str
    unit: str
    project: str
    projects: str
    pool: str = ""
    pool_field: str = ""


SLURM = Words("slurm", "Slurm", "Jobs", "Job", "Account", "Accounts", "Partition", "tags.partition")
LSF = Words("lsf", "LSF", "Jobs", "Job", "Project", "Projects", "Queue", "tags.queue")
OPENSTACK = Words("openstack", "OpenStack", "Instances", "Instance", "Project", "Projects")
KUBERNETES = Words("k8s", "Kubernetes", "Pods", "Pod", "Namespace", "Namespaces")


@dataclass
class Dashboard:
    """A dashboard, laid out from top to bottom."""

    uid: str
    title: str
    description: str
    variables: list[Json]
    since: str = "now-30d"
    panels: list[Json] = field(default_factory=list)
    _x: int = 0
    _y: int = 0
    _height: int = 0

    def add(self, width: int, height: int, panel: Json) -> None:
        """Put a panel to the right of the last one, or below if it does not fit."""
        if self._x + width > WIDTH:
            self._x, self._y, self._height = 0, self._y + self._height, 0
        place = {"x": self._x, "y": self._y, "w": width, "h": height}
        self.panels.append({"id": len(self.panels) + 1, "gridPos": place, **panel})
        self._x, self._height = self._x + width, max(self._height, height)

    def heading(self, title: str) -> None:
        """Start a new row with a title."""
        self._x = WIDTH
        self.add(WIDTH, 1, {"type": "row", "title": title, "collapsed": False, "panels": []})

    def as_json(self) -> Json:
        """Return the dashboard as Grafana stores it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["ceems"],
            "schemaVersion": 41,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "",
            "refresh": "",
            "time": {"from": self.since, "to": "now"},
            "annotations": {"list": []},
            "links": [
                {
                    "type": "dashboards",
                    "title": "CEEMS",
                    "tags": ["ceems"],
                    "asDropdown": True,
                    "includeVars": False,
                    "keepTime": True,
                    "icon": "external link",
                }
            ],
            "templating": {"list": [_datasource_variable(), *self.variables]},
            "panels": self.panels,
        }


# Variables


def _datasource_variable() -> Json:
    return {"type": "datasource", "name": "datasource", "label": "Data source", "query": TYPE, "hide": 0, "refresh": 1}


def variable(name: str, label: str, kind: str, *, multi: bool = True, description: str = "", **query: Any) -> Json:
    """Return a variable whose values the data source suggests; "All" means no filter."""
    many: Json = {"multi": True, "includeAll": True, "allValue": "*", "current": {"text": ["All"], "value": ["$__all"]}}
    return {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": SOURCE,
        "query": {"refId": f"variable-{name}", "kind": kind, **query},
        "refresh": 2,
        "sort": 1,
        **(many if multi else {"multi": False, "includeAll": False}),
    }


def clusters(**query: Any) -> Json:
    """Return the variable that selects clusters."""
    return variable("cluster", "Cluster", "clusters", **query)


def projects(label: str = "Project", **query: Any) -> Json:
    """Return the variable that selects projects of the selected clusters."""
    return variable("project", label, "projects", clusters=["$cluster"], **query)


def provider() -> Json:
    """Return the variable that selects the provider of emission factors, among those in the rows."""
    return variable(
        "provider",
        "Emission provider",
        "emission-providers",
        multi=False,
        description="The provider whose emission factors convert energy into CO2",
    )


def text_variable(name: str, label: str) -> Json:
    """Return a variable that the viewer types in, or that a link sets."""
    return {"type": "textbox", "name": name, "label": label, "query": "", "current": {"text": "", "value": ""}}


# Queries


def ask(query_type: str, ref_id: str = "A", **query: Any) -> Json:
    """Return a panel's query."""
    return {"refId": ref_id, "datasource": SOURCE, "queryType": query_type, **query}


def used(fields: Sequence[str], by: Sequence[str], **query: Any) -> Json:
    """Return a query for usage within the panel's time range, including that of units that run for months."""
    return ask("usage", source="prorated", fields=list(fields), groupBy=list(by), exactGroupBy=True, **query)


def totals(*fields: str, **query: Any) -> Json:
    """Return a query for one row over everything."""
    return used(fields, (), **query)


def grouped(by: str, *fields: str, limit: int | None = None, **query: Any) -> Json:
    """Return a query for one row per value of a column, in descending order of the first field."""
    more: Json = {"limit": limit} if limit else {}
    first = fields[0]
    return used([by, *fields], [by], orderBy=[f"-{first}"], **more, **query)


def over_time(*fields: str, by: Sequence[str] = (), **query: Any) -> Json:
    """Return a query for values per step of at least a day, in the viewer's time zone.

    They are summed as the numbers beside them: the steps add up to these.
    """
    steps: Json = {"step": "auto", "minStep": "day", "timezone": "$__timezone", "source": "prorated"}
    return ask("usage-over-time", fields=list(fields), groupBy=list(by), **steps, **query)


# Panels


def _panel(type_: str, title: str, query: Json, description: str, *, defaults: Json, options: Json) -> Json:
    return {
        "type": type_,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": [query],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def _calculated(calculation: str = "lastNotNull", fields: str = "/.*/") -> Json:
    return {"calcs": [calculation], "fields": fields, "values": False}


def _steps(*steps: tuple[float | None, str]) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in steps]}


def gauge(title: str, query: Json, description: str) -> Json:
    """Return a gauge in percent that highlights low use."""
    thresholds = _steps((None, "red"), (25, "orange"), (50, "green"))
    defaults = {"unit": "percent", "min": 0, "max": 100, "decimals": 1, "thresholds": thresholds, "noValue": "no data"}
    options = {"reduceOptions": _calculated(), "showThresholdLabels": False, "showThresholdMarkers": True}
    return _panel("gauge", title, query, description, defaults=defaults, options=options)


def stat(title: str, query: Json, description: str, unit: str = "", decimals: int | None = None) -> Json:
    """Return a number."""
    defaults: Json = {"thresholds": _steps((None, "blue")), "color": {"mode": "thresholds"}, "noValue": "no data"}
    if unit:
        defaults["unit"] = unit
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {"reduceOptions": _calculated(), "colorMode": "value", "graphMode": "none", "textMode": "value"}
    return _panel("stat", title, query, description, defaults=defaults, options=options)


def bars(title: str, query: Json, description: str, legend: str = "", *, stacked: bool = True) -> Json:
    """Return bars over time, stacked by series."""
    custom = {
        "drawStyle": "bars",
        "fillOpacity": 80,
        "lineWidth": 0,
        "barAlignment": 1,  # a bar covers its step; that of the first one is cut off at the start of the range
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    defaults: Json = {"custom": custom, "min": 0, "noValue": "no data"}
    if legend:
        defaults["displayName"] = legend
    options = {
        "legend": {"displayMode": "table", "placement": "right", "calcs": ["sum"], "showLegend": bool(legend)},
        "tooltip": {"mode": "multi", "sort": "desc", "hideZeros": True},
    }
    return _panel("timeseries", title, query, description, defaults=defaults, options=options)


def shares(title: str, query: Json, description: str, value: str) -> Json:
    """Return a pie chart with one slice per row."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": f"/^{value}/", "values": True, "limit": 50},
        "pieType": "donut",
        "displayLabels": ["percent"],
        "legend": {"displayMode": "table", "placement": "right", "values": ["value", "percent"], "showLegend": True},
        "tooltip": {"mode": "single"},
    }
    return _panel("piechart", title, query, description, defaults={"noValue": "no data"}, options=options)


def table(title: str, query: Json, description: str, overrides: Sequence[Json] = (), sort: str = "") -> Json:
    """Return a table with a filter on each column."""
    defaults = {"custom": {"filterable": True, "align": "auto"}, "noValue": ""}
    options: Json = {"showHeader": True, "cellHeight": "sm"}
    if sort:
        options["sortBy"] = [{"displayName": sort, "desc": True}]
    panel = _panel("table", title, query, description, defaults=defaults, options=options)
    panel["fieldConfig"]["overrides"] = [override for override in overrides if _is_about(override, query)]
    return panel


def _is_about(override: Json, query: Json) -> bool:
    """Tell whether the query selects the column of an override."""
    name = override["matcher"]["options"]
    asked = query.get("fields")
    return override["matcher"]["id"] != "byName" or not asked or any(f"{name}.".startswith(f"{one}.") for one in asked)


def named(name: str, title: str, *, width: int | None = None, **properties: Any) -> Json:
    """Return the override that gives a column a title and optionally another appearance."""
    found: list[Json] = [{"id": "displayName", "value": title}]
    found += [{"id": "custom.width", "value": width}] if width else []
    found += [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": found}


def _percent_bar(name: str, title: str) -> Json:
    thresholds = _steps((None, "red"), (25, "orange"), (50, "green"))
    cell = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    return named(name, title, width=130, custom__cellOptions=cell, thresholds=thresholds, decimals=1)


def _link(column: str, title: str, uid: str, variable_name: str) -> Json:
    url = f"/d/{uid}?var-datasource=${{datasource}}&var-{variable_name}=${{__value.raw:percentencode}}"
    url += "&${__url_time_range}"
    links = [{"title": f"More about this {title.lower()}", "url": url, "targetBlank": False}]
    return named(column, title, width=150, links=links)


EMISSIONS_COLUMN: Json = {  # its name ends with the selected provider
    "matcher": {"id": "byRegexp", "options": "total_emissions.*"},
    "properties": [{"id": "displayName", "value": "Emissions"}, {"id": "custom.width", "value": 110}],
}
UNIT_FIELDS = (
    "uuid", "cluster_id", "name", "project", "username", "state", "started_at", "ended_at", "elapsed",
    "avg_cpu_usage.global", "avg_cpu_mem_usage.global", "avg_gpu_usage.global", "avg_gpu_mem_usage.global",
    ENERGY, EMISSIONS, "energy_per_unit_hour_kwh",
)  # fmt: skip


def unit_fields(words: Words) -> list[str]:
    """Return the columns of a table of units."""
    before = UNIT_FIELDS.index("state")
    pool = [words.pool_field] if words.pool_field else []
    return [*UNIT_FIELDS[:before], *pool, *UNIT_FIELDS[before:]]


def unit_columns(words: Words) -> list[Json]:
    """Return the overrides for the columns of a table of units."""
    return [
        named("uuid", words.unit, width=170),  # the data source provides its links
        named("cluster_id", "Cluster", width=110),
        named("name", "Name", width=140),
        named("project", words.project, width=110),
        named("username", "User", width=110),
        *([named(words.pool_field, words.pool, width=110)] if words.pool_field else []),
        named("state", "State", width=120),
        named("started_at", "Started", width=170),
        named("ended_at", "Ended", width=170, noValue="running"),
        named("elapsed", "Elapsed", width=110),
        _percent_bar("avg_cpu_usage.global", "CPU"),
        _percent_bar("avg_cpu_mem_usage.global", "Memory"),
        _percent_bar("avg_gpu_usage.global", "GPU"),
        _percent_bar("avg_gpu_mem_usage.global", "GPU memory"),
        named("total_energy_usage_kwh.total", "Energy", width=100),
        named("energy_per_unit_hour_kwh.total", "Energy per hour", width=130),
        EMISSIONS_COLUMN,
    ]


def usage_gauges(board: Dashboard, rows: Json) -> None:
    """Add the four gauges for average use."""
    for title, metric, what in (
        ("CPU use", "avg_cpu_usage", "of the allocated CPU time was used"),
        ("Memory use", "avg_cpu_mem_usage", "of the allocated memory was used"),
        ("GPU use", "avg_gpu_usage", "of the allocated GPU time was used"),
        ("GPU memory use", "avg_gpu_mem_usage", "of the allocated GPU memory was used"),
    ):
        query = totals(f"{metric}.global", **rows)
        board.add(6, 6, gauge(title, query, f"How much {what}, on average over all units, weighted by allocation"))


def usage_numbers(board: Dashboard, words: Words, rows: Json) -> None:
    """Add the numbers for energy, emissions and time."""
    board.add(5, 4, stat(words.units, totals("num_units", **rows), f"{words.units} that ran in this time", "locale"))
    board.add(5, 4, stat("Energy", totals(ENERGY, **rows), "CPUs, hosts and GPUs together", "kwatth", 2))
    board.add(5, 4, stat("Emissions", totals(EMISSIONS, **rows), "CO2 equivalent, by the chosen provider", "massg", 2))
    board.add(
        5,
        4,
        stat("CPU time", totals("total_time_seconds.alloc_cputime", **rows), "Allocated CPU time", "s", 1),
    )
    board.add(
        4,
        4,
        stat("Idle CPU", totals("idle_cpu_time_seconds.global", **rows), "Allocated, but not used", "s", 1),
    )


# Dashboards


def my_usage(words: Words) -> Dashboard:
    """Return the dashboard of the viewer's own usage."""
    only: Json = {"resourceManagers": [words.manager]}
    board = Dashboard(
        f"ceems-my-{words.manager}",
        f"CEEMS / My usage / {words.title}",
        f"What my {words.units.lower()} on {words.title} cost in time, energy and CO2, and how well they use it",
        [clusters(admin=False), projects(words.project, admin=False), provider()],
    )
    mine: Json = {
        "clusters": ["$cluster"],
        "projects": ["$project"],
        "users": ["${__user.login}"],
        "admin": False,
        **only,
    }
    usage_gauges(board, mine)
    usage_numbers(board, words, mine)
    board.heading("Over time")
    board.add(
        12,
        8,
        bars(
            "Energy",
            over_time(ENERGY, by=("project",), **mine),
            "Per day, or longer in a long time range",
            "${__field.labels.project}",
        ),
    )
    board.add(
        12,
        8,
        bars(
            "Emissions",
            over_time(EMISSIONS, by=("project",), **mine),
            "Per day, or longer in a long time range",
            "${__field.labels.project}",
        ),
    )
    board.heading(words.projects)
    board.add(
        8,
        8,
        shares(f"Energy by {words.project.lower()}", grouped("project", ENERGY, **mine), "My energy", "total_energy"),
    )
    columns = [
        named("project", words.project),
        named("num_units", words.units),
        named("total_energy_usage_kwh.total", "Energy"),
        _percent_bar("used_cpu_time_percent.global", "CPU time used"),
    ]
    query = grouped("project", ENERGY, "num_units", "used_cpu_time_percent.global", **mine)
    board.add(16, 8, table(words.projects, query, f"My use of each {words.project.lower()}", columns))
    board.heading(words.units)
    units = ask(
        "units",
        fields=unit_fields(words),
        running=True,
        runningAt="range",
        orderBy=["-started_at"],
        limit=1000,
        **{**mine, "users": []},
    )
    board.add(WIDTH, 14, table(f"My {words.units.lower()}", units, "Ran in the time range", unit_columns(words)))
    return board


def project_usage(words: Words) -> Dashboard:
    """Return the dashboard of a project and its members."""
    board = Dashboard(
        f"ceems-projects-{words.manager}",
        f"CEEMS / {words.projects} / {words.title}",
        f"What each {words.project.lower()} on {words.title} cost, and how its members share it",
        [clusters(), projects(words.project), provider()],
    )
    rows: Json = {
        "clusters": ["$cluster"],
        "projects": ["$project"],
        "admin": "auto",
        "resourceManagers": [words.manager],
    }
    usage_gauges(board, rows)
    usage_numbers(board, words, rows)
    board.heading("Members")
    for title, measure, name in (
        ("Energy", ENERGY, "total_energy"),
        ("Emissions", EMISSIONS, "total_emissions"),
        ("CPU time", "total_time_seconds.alloc_cputime", "total_time"),
    ):
        query = grouped("username", measure, limit=20, **rows)
        board.add(8, 8, shares(f"{title} by member", query, "The twenty largest shares", name))
    columns = [
        _link("username", "User", "ceems-operators", "user"),
        named("num_units", words.units),
        named("total_energy_usage_kwh.total", "Energy"),
        EMISSIONS_COLUMN,
        named("total_time_seconds.alloc_cputime", "CPU time"),
        _percent_bar("avg_cpu_usage.global", "CPU"),
        _percent_bar("avg_cpu_mem_usage.global", "Memory"),
        _percent_bar("avg_gpu_usage.global", "GPU"),
    ]  # fmt: skip
    query = grouped(
        "username",
        ENERGY,
        "num_units",
        EMISSIONS,
        "total_time_seconds.alloc_cputime",
        "avg_cpu_usage.global",
        "avg_cpu_mem_usage.global",
        "avg_gpu_usage.global",
        **rows,
    )
    board.add(WIDTH, 10, table("Usage by member", query, "Everybody who used it in the time range", columns))
    board.heading("Over time")
    board.add(
        12,
        9,
        bars(
            "Energy by member",
            over_time(ENERGY, by=("username",), **rows),
            "Per day, or longer in a long time range",
            "${__field.labels.username}",
        ),
    )
    board.add(
        12,
        9,
        bars(
            "Emissions by member",
            over_time(EMISSIONS, by=("username",), **rows),
            "Per day, or longer in a long time range",
            "${__field.labels.username}",
        ),
    )
    return board


def one_unit() -> Dashboard:
    """Return the dashboard of one unit, which needs only the unit's id and cluster."""
    board = Dashboard(
        "ceems-unit",
        "CEEMS / One unit",
        "Everything about one job, instance or pod",
        [
            text_variable("uuid", "Unit"),
            variable("cluster", "Cluster", "clusters", multi=False),
            {**text_variable("started", "Start"), "hide": 2},  # milliseconds since 1970, set by the links of units
            provider(),
        ],
    )
    # Several units may have the same uuid, years apart. Without a start, the panels show the latest run.
    start: Json = {"key": "started_at_ts", "operator": "=|", "value": ["$started"]}
    rows: Json = {
        "uuids": ["$uuid"], "clusters": ["$cluster"], "filters": [start], "admin": "auto", "running": True,
    }  # fmt: skip

    def unit(*fields: str) -> Json:
        return ask("units", fields=list(fields), orderBy=["started_at"], **rows)

    def of_last_run(panel: Json) -> Json:
        panel["options"]["reduceOptions"] = _calculated("last")  # an earlier run's value must not replace it
        return panel

    for title, metric in (
        ("CPU use", "avg_cpu_usage.global"),
        ("Memory use", "avg_cpu_mem_usage.global"),
        ("GPU use", "avg_gpu_usage.global"),
        ("GPU memory use", "avg_gpu_mem_usage.global"),
    ):
        board.add(6, 6, of_last_run(gauge(title, unit(metric), "Average over its run time")))
    board.add(6, 4, of_last_run(stat("State", unit("state"), "As the resource manager reports it")))
    board.add(6, 4, of_last_run(stat("Energy", unit(ENERGY), "CPUs, hosts and GPUs together", "kwatth", 3)))
    board.add(
        6, 4, of_last_run(stat("Emissions", unit(EMISSIONS), "CO2 equivalent, by the chosen provider", "massg", 2))
    )
    board.add(6, 4, of_last_run(stat("Wall time", unit("total_time_seconds.walltime"), "How long it ran", "s", 1)))
    board.heading("Facts")
    facts = (
        "uuid", "cluster_id", "resource_manager", "name", "project", "groupname", "username", "state", "created_at",
        "started_at", "ended_at", "elapsed", "allocation", "tags",
    )  # fmt: skip
    panel = table("Facts", unit(*facts), "A unit that was requeued has a column for each run")
    # In the transposed table, a column holds values of all types, so times would lose their format.
    texts = [
        {"targetField": name, "destinationType": "string", "dateFormat": "YYYY-MM-DD HH:mm:ss"}
        for name in ("created_at", "started_at", "ended_at")
    ]
    panel["transformations"] = [
        {"id": "convertFieldType", "options": {"conversions": texts}},
        {"id": "transpose", "options": {"firstFieldName": "Fact", "restFieldsName": "Value"}},
    ]
    board.add(12, 16, panel)
    measures = (
        "total_time_seconds", "used_cpu_time_seconds", "idle_cpu_time_seconds", "used_gpu_time_seconds",
        "idle_gpu_time_seconds", "total_cpu_energy_usage_kwh", "total_gpu_energy_usage_kwh", "total_emissions_gms",
        "energy_per_unit_hour_kwh", "total_io_write_stats", "total_io_read_stats", "total_ingress_stats",
        "total_egress_stats",
    )  # fmt: skip
    panel = of_last_run(stat("Measures", unit(*measures), "Times, energy, emissions, disk and network"))
    panel["options"] |= {"textMode": "value_and_name", "orientation": "horizontal", "wideLayout": True}
    panel["options"] |= {"text": {"titleSize": 13, "valueSize": 16}}
    board.add(12, 16, panel)
    return board


def operators() -> Dashboard:
    """Return the dashboard for operators of the clusters."""
    board = Dashboard(
        "ceems-operators",
        "CEEMS / Clusters",
        "All clusters: what is running, who uses most, energy and emissions over time, and what was allocated but idle",
        [clusters(), projects(), variable("user", "User", "users", clusters=["$cluster"]), provider()],
    )
    # In the API, an administrator's `users` selects all members of these users' projects, so this uses a filter.
    only: Json = {"key": "username", "operator": "=|", "value": ["$user"]}
    rows: Json = {"clusters": ["$cluster"], "projects": ["$project"], "filters": [only], "admin": "auto"}
    here: Json = {"clusters": ["$cluster"], "admin": "auto"}
    columns = [
        named("cluster_id", "Cluster", width=130),
        named("resource_manager", "Manager", width=100),
        named("num_units", "Units", width=85),
        named("num_inactive_units", "Ended", width=85),
        named("num_active_units", "Running", width=90),
        named("num_projects", "Projects", width=90),
        named("num_users", "Users", width=75),
    ]
    board.add(
        12,
        7,
        table("In this time", ask("stats", mode="current", **here), "Ended in the time range or running", columns),
    )
    board.add(
        12, 7, table("Over everything", ask("stats", mode="global", **here), "Everything in the database", columns)
    )
    usage_gauges(board, rows)
    usage_numbers(board, Words("", "", "Units", "Unit", "Project", "Projects"), rows)
    board.heading("Energy and emissions over time")
    for title, measure in (("Energy by cluster", ENERGY), ("Emissions by cluster", EMISSIONS)):
        query = over_time(measure, by=("cluster_id",), **rows)
        board.add(12, 9, bars(title, query, "Per day, or longer in a long time range", "${__field.labels.cluster_id}"))
    board.heading("Who uses most")
    for title, by, column in (("Top users", "username", "User"), ("Top projects", "project", "Project")):
        query = grouped(by, ENERGY, "num_units", EMISSIONS, "used_cpu_time_percent.global", limit=25, **rows)
        looks = [
            _link(by, column, "ceems-operators", "user" if by == "username" else "project"),
            named("num_units", "Units"),
            named("total_energy_usage_kwh.total", "Energy"),
            EMISSIONS_COLUMN,
            _percent_bar("used_cpu_time_percent.global", "CPU time used"),
        ]  # fmt: skip
        board.add(12, 10, table(title, query, "By energy", looks))
    board.heading("Waste")
    waste = ask(
        "units",
        fields=["uuid", "cluster_id", "project", "username", "state", "started_at", "elapsed", "avg_cpu_usage.global",
                "idle_cpu_time_seconds.global", "avg_gpu_usage.global", "idle_gpu_time_seconds.global", ENERGY],
        running=True,
        runningAt="range",
        orderBy=["-idle_cpu_time_seconds.global"],
        limit=50,
        **rows,
    )  # fmt: skip
    looks = [
        *unit_columns(Words("", "", "Units", "Unit", "Project", "Projects")),
        named("idle_cpu_time_seconds.global", "Idle CPU time", width=130),
        named("idle_gpu_time_seconds.global", "Idle GPU time", width=130),
    ]
    board.add(WIDTH, 12, table("Most idle CPU time", waste, "Allocated to these units, but not used by them", looks))
    for processor in ("cpu", "gpu"):  # one number in each: a second one would put its name into the legend
        wasted = grouped("project", f"idle_{processor}_time_seconds.global", limit=20, **rows)
        title = f"Idle {processor.upper()} time by project"
        board.add(12, 9, shares(title, wasted, "Allocated, but not used", f"idle_{processor}"))
    return board


def all_dashboards() -> list[Dashboard]:
    """Return every dashboard that ships with the plugin."""
    boards = [make(words) for make in (my_usage, project_usage) for words in (SLURM, LSF, OPENSTACK, KUBERNETES)]
    return [*boards, one_unit(), operators()]


def main() -> int:
    """Write the files."""
    for board in all_dashboards():
        text = json.dumps(board.as_json(), indent=2, ensure_ascii=False) + "\n"
        (HERE / f"{board.uid}.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

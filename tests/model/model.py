"""The rules of the CEEMS API, implemented from its description as plainly as possible: loops over lists of dicts.

Questions are the project's own question objects, since these contain no logic. Answers are lists of dicts, with metrics
as dicts of the keys that have a value.
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ceems_grpc.domain.questions.model import (
    AsAdmin,
    Directory,
    DirectoryQuestion,
    Filter,
    Mode,
    OrderBy,
    Selection,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageOverTimeQuestion,
    UsageQuestion,
    VerifyQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.steps import TimeStep
from ceems_grpc.domain.questions.window import Window
from tests.model.data import METRICS, OBJECTS, Row, list_of, metric, object_of, read_tables, updated
from tests.model.derived import WEIGHTS, Metrics, derived, used_of_row
from tests.model.value_groups import as_objects, is_value_group, sorted_by, with_values

GROUPS = ("cluster_id", "resource_manager", "project", "groupname", "username")
DAY = 86_400


class ModelError(Exception):
    """An error in place of an answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Model:
    """Answers from a file that is read once."""

    def __init__(self, path: Path, zone: ZoneInfo) -> None:
        self.tables = read_tables(path)
        self.zone = zone

    # Who may see what

    def is_admin(self, login: str) -> bool:
        return any(row["name"] == login for row in self.tables.get("admin_users", []))

    def acts_as_admin(self, viewer: Viewer | None, admin: AsAdmin) -> bool:
        if viewer is None:
            raise ModelError(401, "no user identified")
        allowed = viewer.admin_by_role or self.is_admin(viewer.login)
        if admin is True and not allowed:
            raise ModelError(403, "current user does not have admin privileges")
        return allowed if admin == "auto" else bool(admin)

    def is_member(self, login: str, cluster: str | None, project: str | None) -> bool:
        return any(
            row["cluster_id"] == cluster and row["name"] == project and login in list_of(row["users"])
            for row in self.tables["projects"]
        )

    def sees_unit(self, viewer: Viewer, admin: bool, selection: Selection, row: Row) -> bool:
        service = {f"{project}:svc": project for project in selection.projects}
        if admin:
            return not selection.users or row["username"] in selection.users or row["username"] in service
        own = row["username"] == viewer.login
        shared = row["username"] in service and self.is_member(
            viewer.login, row["cluster_id"], service[row["username"]]
        )
        return (own or shared) and (not selection.users or row["username"] in selection.users)

    def sees_usage(
        self, viewer: Viewer, admin: bool, selection: Selection, row: Row, groups: tuple[str, ...] = ()
    ) -> bool:
        if not admin and any(map(is_value_group, groups)) and row["username"] != viewer.login:
            return False  # no tag of the random databases is shared
        cluster, project = row["cluster_id"], row["project"]
        services = tuple(f"{name}:svc" for name in selection.projects)
        if admin:
            named = selection.users + services
            return not selection.users or any(self.is_member(user, cluster, project) for user in named)
        if selection.users and row["username"] not in selection.users:
            return False
        return self.is_member(viewer.login, cluster, project)

    # Answers

    def units(self, viewer: Viewer | None, question: UnitsQuestion) -> list[Row]:
        """Return units: raw columns, metrics and derived columns as dicts, times in milliseconds or None."""
        rows = []
        for row in self.unit_rows(viewer, question):
            if self.is_superseded(row):
                continue
            metrics = {name: metric(row, name) for name in METRICS}
            moments = {name: row[f"{name}_ts"] or None for name in ("created_at", "started_at", "ended_at")}
            others = {name: object_of(row[name]) for name in ("allocation", "tags")}
            rows.append({**row, **moments, **metrics, **derived(metrics, used_of_row(metrics)), **others})
        for name in ("allocation", "tags"):
            unify([row[name] for row in rows])
        return rows

    def unit_rows(self, viewer: Viewer | None, question: UnitsQuestion) -> list[Row]:
        """Return the rows of units as the database stores them, in order."""
        admin = self.acts_as_admin(viewer, question.admin)
        assert viewer is not None
        window = question.window
        found = []
        for row in self.tables["units"]:
            ended = row["ended_at_ts"]
            if question.uuids:
                timely = row["uuid"] in question.uuids
            else:
                within = ended > 0 and window.start <= ended // 1000 <= window.end
                if question.ran_within:
                    others = bool(share_of(run_of(row, self.zone), window.start, window.end + 1))
                else:
                    others = ended == 0
                timely = within or (question.running and others)
            if (
                row["ignore"] == 0
                and timely
                and (not question.states or row["state"] in question.states)
                and is_chosen(question.selection, row)
                and self.sees_unit(viewer, admin, question.selection, row)
            ):
                found.append(row)
        return sorted(found, key=by("cluster_id", "uuid", "started_at_ts", "id"))

    def is_superseded(self, row: Row) -> bool:
        """Return whether the unit of this waiting row has started in another row since it was created."""
        waits = row["ended_at_ts"] == 0 and row["started_at_ts"] <= 0
        return waits and any(
            (other["cluster_id"], other["uuid"]) == (row["cluster_id"], row["uuid"])
            and other["started_at_ts"] > 0
            and other["started_at_ts"] >= row["created_at_ts"]
            for other in self.tables["units"]
        )

    def usage(self, viewer: Viewer | None, question: UsageQuestion) -> list[Row]:
        """Return usage rows, in order."""
        admin = self.acts_as_admin(viewer, question.admin)
        assert viewer is not None
        no_units = question.mode is Mode.GLOBAL or question.source is Source.DAILY or question.every_row
        self.check_groups(question.group_by, no_units=no_units)
        if question.mode is Mode.GLOBAL:
            table = "usage"
        else:
            table = "daily_usage" if question.source is Source.DAILY else "units"
        start, end = question.window.start, question.window.end
        if question.source is Source.UNITS or question.rounds_window:
            start, end = start // 900 * 900, -(-end // 900) * 900
        prorated = question.source is Source.PRORATED and question.mode is Mode.CURRENT

        def timely(row: Row) -> bool:
            if prorated:
                return share_of(run_of(row, self.zone), start, end + 1) > 0
            return question.mode is Mode.GLOBAL or start <= updated(row, self.zone) <= end

        rows = [
            with_values(row, question.group_by, question.classes)
            for row in self.tables[table]
            if timely(row)
            and is_chosen(question.selection, row)
            and self.sees_usage(viewer, admin, question.selection, row, question.group_by)
            and (table != "units" or question.every_row or not self.is_superseded(row))
        ]
        if question.mode is Mode.GLOBAL and not question.exact_groups:
            answer = []
            for row in rows:
                metrics = {name: metric(row, name) for name in METRICS}
                answer.append({**row, **metrics, **derived(metrics, used_of_row(metrics))})
            return sorted(answer, key=by("cluster_id", "username", "project"))
        names = dict.fromkeys(
            question.group_by if question.exact_groups else ("username", "project", *question.group_by)
        )
        answer = []
        for values, members in grouped(rows, tuple(names)).items():
            group = dict(zip(names, values, strict=True))
            if not question.exact_groups:
                # Columns that are not in groupBy have the values of the group's first cluster.
                first = min(members, key=by("cluster_id"))["cluster_id"]
                there = [row for row in members if row["cluster_id"] == first]
                for name in GROUPS:
                    if name not in group:
                        group[name] = min((row[name] or "") for row in there)
            counted = [
                {
                    **row,
                    "share": share_of(run_of(row, self.zone), start, end + 1) if prorated else 1.0,
                    "count": 1 if table == "units" else row["num_units"] or 0,
                }
                for row in members
            ]
            group |= {name: members[0][name] for name in sorted_by(tuple(names))}
            answer.append({**group, **summed(counted)})
        order = sorted_by(tuple(names)) if question.exact_groups else ("cluster_id", "username", "project")
        return as_objects(sorted(answer, key=by(*order)))

    def usage_over_time(self, viewer: Viewer | None, question: UsageOverTimeQuestion) -> list[Row]:
        """Return usage by group and step (its index), in that order.

        Days, weeks and months of UTC are summed from daily_usage; others from units, each spread evenly over its whole
        run, and counted as a unit in the last step that it ran in.
        """
        admin = self.acts_as_admin(viewer, question.admin)
        assert viewer is not None
        self.check_groups(question.group_by, no_units=question.source is Source.DAILY)
        window = question.window
        daily = question.source is Source.DAILY and question.step not in {TimeStep.QUARTER_HOUR, TimeStep.HOUR}
        daily = daily and (question.zone is None or str(question.zone) == "UTC")
        edges = step_edges(window, question.step, ZoneInfo("UTC") if daily else question.zone or self.zone)
        parts = []
        for plain in self.tables["daily_usage" if daily else "units"]:
            row = with_values(plain, question.group_by, question.classes)
            is_seen = self.sees_usage(viewer, admin, question.selection, row, question.group_by)
            if not (is_chosen(question.selection, row) and is_seen):
                continue
            if not daily and self.is_superseded(row):
                continue
            if daily:
                moment = updated(row, self.zone)
                if window.start // DAY * DAY <= moment <= window.end:
                    here = max(index for index, edge in enumerate(edges[:-1]) if index == 0 or edge <= moment)
                    parts.append({**row, "step": here, "share": 1.0, "count": row["num_units"] or 0})
                continue
            run = run_of(row, self.zone)
            shares = [share_of(run, max(low, window.start), min(high, window.end + 1)) for low, high in pairwise(edges)]
            touched = [index for index, share in enumerate(shares) if share]
            parts += [
                {**row, "step": index, "share": shares[index], "count": int(index == touched[-1])} for index in touched
            ]
        names = (*dict.fromkeys(question.group_by), "step")
        answer = [
            {
                **dict(zip(names, values, strict=True)),
                **{name: members[0][name] for name in sorted_by(names)},
                **summed(members),
            }
            for values, members in grouped(parts, names).items()
        ]
        return as_objects(sorted(answer, key=by(*sorted_by(names))))

    def check_groups(self, names: tuple[str, ...], *, no_units: bool) -> None:
        for name in names:
            if name not in GROUPS and (no_units or not is_value_group(name)):
                raise ModelError(400, f"cannot group by '{name}'")

    def stats(self, viewer: Viewer | None, question: StatsQuestion) -> list[Row]:
        """Return the counts of each cluster."""
        admin = self.acts_as_admin(viewer, question.admin)
        assert viewer is not None
        window, rows = question.window, []
        for row in self.tables["units"]:
            ended = row["ended_at_ts"]
            timely = question.mode is Mode.GLOBAL or ended == 0 or window.start <= ended // 1000 <= window.end
            named = not question.selection.users or row["username"] in question.selection.users
            if self.is_superseded(row) and not question.every_row:
                continue
            if timely and named and (admin or row["username"] == viewer.login) and is_chosen(question.selection, row):
                rows.append(row)
        answer = []
        for (cluster,), members in grouped(rows, ("cluster_id",)).items():
            answer.append(
                {
                    "cluster_id": cluster,
                    "resource_manager": min((row["resource_manager"] or "") for row in members),
                    "num_units": len(members),
                    "num_inactive_units": sum(row["ended_at_ts"] > 0 for row in members),
                    "num_active_units": sum(row["ended_at_ts"] == 0 for row in members),
                    "num_projects": len({row["project"] for row in members} - {None}),
                    "num_users": len({row["username"] for row in members} - {None}),
                }
            )
        return sorted(answer, key=by("cluster_id"))

    def directory(self, viewer: Viewer | None, question: DirectoryQuestion) -> list[Row]:
        """Return users, projects, administrators or clusters."""
        admin = self.acts_as_admin(viewer, question.admin)
        assert viewer is not None
        selection, login = question.selection, viewer.login
        rows: Iterable[Row]
        match question.directory:
            case Directory.PROJECTS:
                rows = [
                    row
                    for row in self.tables["projects"]
                    if (admin or login in list_of(row["users"]))
                    and (not selection.projects or row["name"] in selection.projects)
                    and (not selection.users or any(user in list_of(row["users"]) for user in selection.users))
                    and of_cluster(selection, row)
                ]
            case Directory.CLUSTERS:
                source = self.tables["units"] if admin else self.tables["projects"]
                pairs = {
                    (row["cluster_id"], row["resource_manager"])
                    for row in source
                    if (admin or login in list_of(row["users"])) and of_cluster(selection, row)
                }
                return sorted(({"id": one, "manager": two} for one, two in pairs), key=by("id", "manager"))
            case Directory.USERS | Directory.ADMINS:
                rows = [
                    row
                    for row in self.tables["users" if question.directory is Directory.USERS else "admin_users"]
                    if (admin or row["name"] == login)
                    and (not selection.users or row["name"] in selection.users)
                    and (not selection.projects or any(name in list_of(row["projects"]) for name in selection.projects))
                    and of_cluster(selection, row)
                ]
        if question.directory is Directory.ADMINS:
            return list(rows)
        return sorted(rows, key=by("cluster_id", "name"))

    def verify(self, viewer: Viewer | None, question: VerifyQuestion) -> None:
        """Raise an error unless every unit belongs to a project of the viewer."""
        self.acts_as_admin(viewer, admin=False)
        assert viewer is not None
        if not question.uuids:
            raise ModelError(400, "uuids missing in the request")
        for uuid in question.uuids:
            if not any(
                row["uuid"] == uuid
                and row["cluster_id"] in question.clusters
                and self.is_member(viewer.login, row["cluster_id"], row["project"])
                for row in self.tables["units"]
            ):
                raise ModelError(403, "user do not have permissions on uuids")


def by(*names: str) -> Callable[[Row], tuple[Any, ...]]:
    """Return a sort key of these columns, rows without a value last."""
    return lambda row: tuple((row[name] is None, "" if row[name] is None else row[name]) for name in names)


def of_cluster(selection: Selection, row: Row) -> bool:
    return (not selection.clusters or row["cluster_id"] in selection.clusters) and (
        not selection.resource_managers or row["resource_manager"] in selection.resource_managers
    )


def is_chosen(selection: Selection, row: Row) -> bool:
    return (
        of_cluster(selection, row)
        and (not selection.projects or row["project"] in selection.projects)
        and all(passes(condition, row) for condition in selection.filters)
    )


def passes(condition: Filter, row: Row) -> bool:
    head, _, key = condition.key.partition(".")
    value = object_of(row[head]).get(key) if head in OBJECTS else row[condition.key]
    if condition.operator in {"<", "<=", ">", ">="}:
        if not isinstance(value, int | float):
            return False
        bound = float(condition.values[0])
        match condition.operator:
            case "<":
                return value < bound
            case "<=":
                return value <= bound
            case ">":
                return value > bound
        return value >= bound
    if condition.operator in {"=~", "!~"}:
        text = value if value is None or isinstance(value, str) else json.dumps(value)
        matches = text is not None and re.fullmatch(condition.values[0], text) is not None
        return matches is (condition.operator == "=~")
    one_of = any(same(value, wanted) for wanted in condition.values)
    return not one_of if condition.operator.startswith("!") else one_of


def same(value: object, wanted: str) -> bool:
    if isinstance(value, int | float):
        try:
            return float(wanted) == value
        except ValueError:
            return False
    return value == wanted


def grouped(rows: list[Row], names: tuple[str, ...]) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def summed(rows: list[Row]) -> Row:
    """Combine rows: totals are sums, averages are weighted means over the rows that have the value.

    Each row counts with its ``share``, from 0 to 1, and as ``count`` units.
    """
    metrics: Metrics = {name: {} for name in METRICS}
    used: Metrics = {name: {} for name in WEIGHTS}
    sharing = [row for row in rows if row["share"]]
    for name in METRICS:
        for key in {key for row in sharing for key in metric(row, name)}:
            having = [row for row in sharing if key in metric(row, name)]
            values = [metric(row, name)[key] for row in having]
            if name not in WEIGHTS:
                metrics[name][key] = sum(value * row["share"] for value, row in zip(values, having, strict=True))
                continue
            weights = [metric(row, "total_time_seconds").get(WEIGHTS[name], 0.0) * row["share"] for row in having]
            weighted = sum(value * weight for value, weight in zip(values, weights, strict=True))
            metrics[name][key] = weighted / sum(weights) if sum(weights) else 0.0
            used[name][key] = weighted / 100
    return {"num_units": sum(row["count"] for row in rows), **metrics, **derived(metrics, used)}


def run_of(row: Row, zone: ZoneInfo) -> tuple[int, int]:
    """Return the time in which a unit ran, in seconds since 1970: start and end, the end not included.

    It lasts until the unit's end, or until its last update while it runs. A unit without a start, or that ends at or
    before its start, ran in the second of its last update.
    """
    moment = updated(row, zone)
    started, ended = row["started_at_ts"] // 1000, row["ended_at_ts"] // 1000 if row["ended_at_ts"] else moment
    return (started, ended) if row["started_at_ts"] > 0 and started < ended else (moment, moment + 1)


def share_of(run: tuple[int, int], start: int, end: int) -> float:
    """Return the part of a run between two moments, the second not included."""
    return max(0, min(run[1], end) - max(run[0], start)) / (run[1] - run[0])


def step_edges(window: Window, step: TimeStep, zone: ZoneInfo) -> list[int]:
    """Return the starts of the steps that the window touches, and the end of the last one.

    Found by walking through the local times in quarters of an hour, at whose ends all of today's zones change hour and
    offset.
    """

    def label(moment: int) -> tuple[Any, ...]:
        local = datetime.fromtimestamp(moment, zone)
        match step:
            case TimeStep.QUARTER_HOUR:
                return (local.date(), local.hour, local.minute // 15, local.utcoffset())
            case TimeStep.HOUR:
                return (local.date(), local.hour, local.utcoffset())
            case TimeStep.DAY:
                return (local.date(),)
            case TimeStep.WEEK:
                return tuple(local.isocalendar())[:2]
        return (local.year, local.month)

    moment = window.start // 900 * 900
    while label(moment - 900) == label(moment):
        moment -= 900
    edges = [moment]
    while edges[-1] <= window.end:
        moment += 900
        if label(moment) != label(edges[-1]):
            edges.append(moment)
    return edges


def unify(objects: list[dict[str, Any]]) -> None:
    """Convert all values of a key to one kind, in place: booleans, numbers, or text (JSON text for nested values)."""
    for key in {key for item in objects for key in item}:
        having = [item for item in objects if key in item]
        kinds = {type(item[key]) for item in having}
        if kinds == {bool} or kinds <= {int, float}:
            continue
        for item in having:
            if not isinstance(item[key], str):
                item[key] = json.dumps(item[key], ensure_ascii=False, separators=(",", ":"))


def sort_rows(rows: list[Row], order: tuple[OrderBy, ...]) -> list[Row]:
    """Sort by fields of the answer, rows without a value last whatever the direction."""
    for item in reversed(order):
        head, _, key = item.field.partition(".")

        def value(row: Row, head: str = head, key: str = key) -> Any:
            return row[head].get(key) if isinstance(row[head], dict) else row[head]

        having = sorted((row for row in rows if value(row) is not None), key=value, reverse=False)
        if item.descending:  # stable in descending order too
            having = [
                row
                for one in sorted({value(row) for row in having}, reverse=True)
                for row in having
                if value(row) == one
            ]
        rows = having + [row for row in rows if value(row) is None]
    return rows


def rendered(text: str, timezone: str | None) -> str:
    """Return a time of a unit in another zone; an invalid time or zone leaves it unchanged."""
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
        zone = ZoneInfo(timezone) if timezone and timezone != "UTC" else UTC if timezone else None
    except (ValueError, KeyError, OSError):
        return text
    return text if zone is None else moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S%z")

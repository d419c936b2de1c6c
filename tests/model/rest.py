"""The model's answers to requests of the REST API."""

import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ceems_grpc.domain.questions.model import (
    Directory,
    DirectoryQuestion,
    Mode,
    Selection,
    Source,
    StatsQuestion,
    UnitsQuestion,
    UsageQuestion,
    VerifyQuestion,
    Viewer,
)
from ceems_grpc.domain.questions.window import Window
from tests.model.data import METRICS, OBJECTS, UNIT_COLUMNS, USAGE_COLUMNS, Row, list_of, metric, object_of
from tests.model.model import Model, ModelError, rendered

PATHS = (
    *("users", "users/admin", "projects", "projects/admin", "units", "units/admin", "units/verify"),
    *("usage/current", "usage/current/admin", "usage/global", "usage/global/admin"),
    *("stats/current/admin", "stats/global/admin", "clusters/admin"),
)
Body = list[Row] | None


class RestModel:
    """Answers a path and the pairs of its query with (status, rows or None)."""

    def __init__(self, path: Path, zone: ZoneInfo, now: int) -> None:
        self.model = Model(path, zone)
        self.now = now

    def answer(self, login: str | None, path: str, pairs: list[tuple[str, str]]) -> tuple[int, Body | str]:
        try:
            return 200, self._rows(login, path, pairs)
        except ModelError as error:
            return error.status, str(error)

    def _rows(self, login: str | None, path: str, pairs: list[tuple[str, str]]) -> Body:
        viewer = None if login is None else Viewer(login)
        admin = path.endswith("/admin")
        if path not in PATHS:
            raise ModelError(404, "no such path")
        self.model.acts_as_admin(viewer, admin)

        def values(name: str) -> tuple[str, ...]:
            return tuple(value for key, value in pairs if key == name)

        selection = Selection(
            values("cluster_id"),
            values("project") if not path.startswith("users") else (),
            values("user") if admin else (),
        )
        match path.removesuffix("/admin").split("/"):
            case ["units"]:
                window = Window(0, 0) if values("uuid") else self._window(pairs)
                fields = chosen_fields(values("field"), UNIT_COLUMNS)
                rows = self.model.unit_rows(
                    viewer,
                    UnitsQuestion(
                        window,
                        selection,
                        uuids=values("uuid"),
                        running=any(k == "running" for k, _ in pairs),
                        admin=admin,
                    ),
                )
                zone = next(iter(values("timezone")), "")
                return [shown(unit_json(row, zone), fields) for row in rows]
            case ["units", "verify"]:
                self.model.verify(viewer, VerifyQuestion(values("uuid"), values("cluster_id")))
                return None
            case ["usage", mode]:
                fields = chosen_fields(values("field"), USAGE_COLUMNS)
                current = mode == "current"
                experimental = current and any(key == "experimental" for key, _ in pairs)
                question = UsageQuestion(
                    self._window(pairs) if current else Window(0, 0),
                    Mode(mode),
                    Source.DAILY if experimental else Source.UNITS,
                    selection,
                    group_by=tuple(filter(None, values("groupby"))) if current else (),
                    admin=admin,
                    every_row=True,
                )
                rows = self.model.usage(viewer, question)
                return [shown(row, fields) for row in (with_same_keys(rows) if current else rows)]
            case ["stats", mode]:
                window = self._window(pairs) if mode == "current" else Window(0, 0)
                return self.model.stats(
                    viewer, StatsQuestion(window, Mode(mode), selection, admin=admin, every_row=True)
                )
            case [what]:
                kind = Directory(what)
                if path == "users/admin" and "admin" in values("role"):
                    kind, selection = Directory.ADMINS, Selection()
                rows = self.model.directory(viewer, DirectoryQuestion(kind, selection, admin=admin))
                return [list_json(row) for row in rows]
        raise AssertionError(path)

    def _window(self, pairs: list[tuple[str, str]]) -> Window:
        end = moment(pairs, "to")
        end = self.now if end is None else end
        start = moment(pairs, "from")
        return Window(end - 86_400 if start is None else start, end)


def moment(pairs: list[tuple[str, str]], name: str) -> int | None:
    text = next((value for key, value in pairs if key == name), "")
    if not text:
        return None
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ModelError(400, f"query parameter '{name}': malformed timestamp")
    return int(text) // 1000 if abs(int(text)) >= 10**11 else int(text)


def chosen_fields(asked: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    if asked and not set(asked) & set(known):
        raise ModelError(400, "invalid query fields")
    return tuple(name for name in known if name in asked) if asked else known


def shown(row: Row, fields: tuple[str, ...]) -> Row:
    return {name: row[name] for name in fields if name in row}


def with_same_keys(rows: list[Row]) -> list[Row]:
    """Give each row all keys of a metric that any row has, with 0 where the row has no value."""
    keys = {name: {key for row in rows for key in row[name]} for name in METRICS}
    return [{**row, **{name: dict.fromkeys(keys[name], 0.0) | row[name] for name in METRICS}} for row in rows]


def unit_json(row: Row, timezone: str) -> Row:
    answer: Row = {}
    for name in UNIT_COLUMNS:
        if name in {"allocation", "tags"}:
            answer[name] = object_of(row[name])
        elif name in OBJECTS:
            answer[name] = metric(row, name)
        elif name in {"created_at", "started_at", "ended_at"}:
            answer[name] = rendered(row[name] or "", timezone)
        else:
            answer[name] = row[name]
    return answer


def list_json(row: Row) -> Row:
    names = ("id", "manager") if "manager" in row else ("uid", "cluster_id", "resource_manager", "name", "projects")
    answer: dict[str, Any] = {name: row[name] for name in (*names, "users", "tags") if name in row}
    return {name: list_of(value) if name in {"projects", "users", "tags"} else value for name, value in answer.items()}

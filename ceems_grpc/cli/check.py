"""`ceems-grpc check`: says whether the plugin can answer from a database file, and if not, why and what to do."""

import argparse
import asyncio
import grp
import os
import pwd
import sqlite3
import stat
import textwrap
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ceems_grpc.cli.ask import open_database, own_name
from ceems_grpc.cli.errors import CommandError
from ceems_grpc.cli.output.escaping import visible_lines
from ceems_grpc.cli.output.values import text_of
from ceems_grpc.cli.stale_log import is_stale
from ceems_grpc.grafana.backend.diagnostics import HealthResult, HealthStatus
from ceems_grpc.store.plan import Table

_SQLITE_MAGIC = b"SQLite format 3\0"
_WAL_FORMAT = 2  # byte 18 of the file, https://www.sqlite.org/fileformat.html
_RESTORE = (
    "If a backup was moved in, SQLite shows older rows in its place: stop ceems_api_server, delete the -wal and the "
    "-shm, and move the backup in again; see Restoring a backup in docs/reliability.md."
)
_LABEL_WIDTH = 11
_TEXT_WIDTH = 88


def run(options: argparse.Namespace) -> int:
    """Print the diagnosis line by line. It ends at the first problem; return 1 if there is one."""
    path = Path(options.path).absolute()
    try:
        path = path / "ceems.db" if os.path.isdir(path) else path  # noqa: PTH112 - Path.is_dir fails for long names
        warnings = _diagnose(path, options.timezone)
    except CommandError as error:
        _say("NOT OK", str(error))
        return 1
    for warning in warnings:
        _say("Warning", warning)
    _say("OK", "the plugin can answer from this database when it runs as this user.")
    return 0


def _diagnose(path: Path, timezone: str) -> list[str]:
    """Print what is found, and return warnings. Raises `CommandError` for the first problem."""
    _say("You", _whoami())
    _say("Path", str(path))
    _walk(path)
    status = path.stat()
    _say("File", f"{text_of(float(status.st_size), 'bytes')}, {_access(status)}, written {_moment(status.st_mtime)}")
    warnings = []
    if os.geteuid() == 0:
        warnings.append("root may read every file: run this as the user that Grafana runs as (sudo -u grafana ...).")
    wal = _journal(path)
    if wal:
        _refuse_to_leave_files(path, status)
    health = asyncio.run(_health(path, timezone))
    _print_tables(path)
    if health.status is not HealthStatus.OK:
        raise CommandError(health.message)
    facts = health.details
    _say("Schema", f"version {facts['schemaVersion'] or 'unknown'}")
    _say("Clusters", ", ".join(f"{one['id']} ({one['manager']})" for one in facts["clusters"]) or "none")
    _say("Units", f"{facts['units']:,}")
    _say("Memory", f"the plugin may take {text_of(float(facts['memoryLimit']), 'bytes')} by default; see memoryLimit")
    _say("Updated", _age(facts["newestUpdate"]))
    _say("Time zone", facts["timezone"] + ("" if timezone else " (guessed; set it in the data source if it is wrong)"))
    return warnings + [f"{text[:1].upper()}{text[1:]}." for text in facts["warnings"]]


async def _health(path: Path, timezone: str) -> HealthResult:
    async with open_database(path, timezone=timezone) as asker:
        return await asker.check()


def _walk(path: Path) -> None:
    """Go down the path. Raises `CommandError` for the first part that does not exist or cannot be entered."""
    for part in [*reversed(path.parents), path]:
        try:
            status = part.stat()
        except FileNotFoundError:
            raise CommandError(f"{part} does not exist{_nearby(part)}.") from None
        except OSError as error:
            raise CommandError(f"{part} cannot be reached: {error.strerror}.") from None
        if part != path and not stat.S_ISDIR(status.st_mode):
            raise CommandError(f"{part} is a file, not a folder.")
        wanted, verb = (os.R_OK, "read") if part == path else (os.X_OK, "enter")
        if part == path and not stat.S_ISREG(status.st_mode):
            raise CommandError(f"{part} is not a file.")
        if not _allows(part, wanted):
            _say("Blocked by", f"{part}, {_access(status)}")
            raise CommandError(
                f"User {own_name()} may not {verb} {part}. Allow it, for example with:\n"
                f"  setfacl -m u:{own_name()}:{'r' if part == path else 'x'} {part}"
            )


def _journal(path: Path) -> bool:
    """Print what the header of the database and its -wal and -shm files say; return whether it is in WAL mode."""
    with path.open("rb") as file:
        header = file.read(20)
    if not header.startswith(_SQLITE_MAGIC) or len(header) < 20:
        what = "is empty" if not header else "is not an SQLite database"
        raise CommandError(f"{path} {what}. Look for the ceems.db in the data folder of ceems_api_server.")
    wal = header[18] == _WAL_FORMAT
    _say("Journal", "WAL" if wal else "not WAL (ceems_api_server switches to WAL when it opens the file)")
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if not beside.exists():
            if wal:
                _say("", f"{beside.name}: not there")
        else:
            status = beside.stat()
            readable = "readable" if _allows(beside, os.R_OK) else "NOT readable"
            _say("", f"{beside.name}: {readable}, {text_of(float(status.st_size), 'bytes')}, {_access(status)}")
            if readable != "readable":
                raise CommandError(
                    f"User {own_name()} may not read {beside}, which SQLite needs. Give it the access to new files in "
                    f"{path.parent} too, for example with:\n"
                    f"  setfacl -m u:{own_name()}:r {beside}\n  setfacl -d -m u:{own_name()}:r {path.parent}"
                )
    log = path.with_name(path.name + "-wal")
    if wal and log.exists() and is_stale(path, log):
        _say(
            "Warning",
            f"{log.name} belongs to another file: {path.name} was written later and not from it. {_RESTORE}",
        )
    return wal


def _refuse_to_leave_files(path: Path, status: os.stat_result) -> None:
    """Stop before SQLite creates a -shm that only this user may write, which would lock out ceems_api_server.

    SQLite creates -wal and -shm with the mode of the database, even for a reader. Root also gives them its owner.
    """
    shared = path.with_name(path.name + "-shm")
    if shared.exists() or os.geteuid() in {0, status.st_uid}:
        return
    others_may_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not others_may_write and _allows(path.parent, os.W_OK):
        raise CommandError(
            f"ceems_api_server does not run, and user {own_name()} may write to {path.parent}. To read a WAL database, "
            f"SQLite would create {shared.name} there, owned by {own_name()}, and ceems_api_server could not start "
            f"then. Remove {own_name()}'s write access to the folder, and start ceems_api_server first."
        )
    if not _allows(path.parent, os.W_OK):
        raise CommandError(
            f"The database is in WAL mode and {shared.name} is not there: start ceems_api_server, which creates it. "
            f"User {own_name()} then needs read access to it, but no write access to the folder."
        )


def _print_tables(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            found = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return  # the health check says why
    known = [table.value for table in Table]
    _say("Tables", ", ".join(name for name in known if name in found) or "none of the CEEMS tables")
    if missing := [name for name in known if name not in found]:
        _say("Missing", ", ".join(missing))


def _nearby(part: Path) -> str:
    """Name the databases in the folder of a missing file."""
    try:
        names = sorted(one.name for one in part.parent.iterdir() if one.suffix in {".db", ".sqlite"})
    except OSError:
        return ""
    return f"; {part.parent} has {', '.join(names[:5])}" if names else ""


def _allows(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _whoami() -> str:
    groups = ", ".join(sorted(_group(number) for number in {os.getegid(), *os.getgroups()}))
    return f"user {own_name()}, groups {groups}"


def _access(status: os.stat_result) -> str:
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    return f"{stat.filemode(status.st_mode)} {owner}:{_group(status.st_gid)}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _age(text: Any) -> str:  # noqa: ANN401 - from the JSON of the health check
    if text is None:
        return "never"
    moment = datetime.fromisoformat(text)
    age = text_of((datetime.now(UTC) - moment).total_seconds(), "s")
    return f"{moment:%Y-%m-%d %H:%M} UTC, {age} ago"


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith(" "):  # a command to copy must not be wrapped
            yield line
        else:
            yield from textwrap.wrap(line, _TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)


def _say(label: str, text: str) -> None:
    for line in _lines(visible_lines(text)):
        print(f"{label:<{_LABEL_WIDTH}} {line}")  # noqa: T201 - the diagnosis
        label = ""

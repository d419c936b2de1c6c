"""Turns errors of SQLite and the operating system into messages that say what is wrong and what to do."""

import errno
import os
import pwd
import re
import sqlite3
from pathlib import Path

from ceems_grpc.store.errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreMissingError,
    StorePermissionError,
    lacking,
)
from ceems_grpc.store.sqlite.wal import read_version

_MISSING = re.compile(r"no such (table|column): [`\"']?(?:\w+\.)?(\w+)")


def explain(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
    """Turn an error of SQLite on this file into one that says what to do.

    A damaged schema can have names that are not UTF-8. Python cannot decode SQLite's messages about them.
    """
    if isinstance(error, UnicodeDecodeError):
        return StoreCorruptError(
            "The file is not an SQLite database, or is damaged.",
            f"{path} has text that is not UTF-8 ({error.reason}). Restore a backup.",
        )
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreBusyError(
            "The database is locked by a writer; try again in a moment.", f"{path} is locked by a writer ({name})."
        )
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_FORMAT")):
        return StoreCorruptError(
            "The file is not an SQLite database, or is damaged.",
            f"{path} is not an SQLite database, or is damaged ({error}). Check the path, or restore a backup.",
        )
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH", "SQLITE_IOERR")):
        return _explain_open(path, error, name)
    if name == "SQLITE_INTERRUPT":
        return StoreError("The question was stopped.")
    if name in {"SQLITE_ERROR", ""} and "no such" in str(error):
        missing = _MISSING.search(str(error))
        return lacking(" ".join(missing.groups()) if missing else "", f"{path}: {error}.")
    return StoreError("The database could not answer.", f"{path}: {error} ({name or type(error).__name__}).")


def explain_path(path: Path, error: OSError) -> StoreError:
    """Return an error that says which part of the path is the cause."""
    part = first_failing_part(path)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return StorePermissionError(
            "The database may not be read by the user that Grafana runs as.",
            f"{part} may not be entered or read by {_whoami()}, so {path} cannot be opened. Give that user access "
            "(group and mode of the folder), or lift ProtectHome or PrivateTmp of its systemd unit.",
        )
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return StoreMissingError("There is no database file at the configured path.", f"{part} does not exist.")
    return StoreError("The database file cannot be reached.", f"{path}: {os.strerror(error.errno or 0)}.")


def first_failing_part(path: Path) -> Path:
    """Return the first part of the path, from the top, that does not exist or may not be entered.

    Links are followed, so the result is a part of the real path.
    """
    full = Path(os.path.realpath(path))
    for part in [*reversed(full.parents), full]:
        try:
            part.stat()
        except OSError:
            return part
        if part != full and not _may(part, os.X_OK):
            return part
    return full


def _explain_open(path: Path, error: sqlite3.Error, name: str) -> StoreError:
    if not os.access(path, os.R_OK, effective_ids=True):
        return explain_path(path, PermissionError(errno.EACCES, name))
    if read_version(path).wal_mode:
        return _wal_error(path, f" ({name})")
    return StorePermissionError(
        "The database may not be read by the user that Grafana runs as.", f"{path} cannot be opened: {error} ({name})."
    )


def check_wal(path: Path) -> None:
    """Refuse to open a database in WAL mode if that would create files of another owner beside it.

    If no process has the database open, the first one that opens it creates the -wal and -shm files and owns them. A
    reader with another owner would thus lock out the writer.
    """
    foreign = os.geteuid() not in {0, path.stat().st_uid}  # files made by root are given to the database's owner
    if foreign and read_version(path).wal_mode and not path.with_name(path.name + "-shm").exists():
        raise _wal_error(path, "")


def _wal_error(path: Path, cause: str) -> StorePermissionError:
    shared = path.with_name(path.name + "-shm")
    if shared.exists():
        log = path.with_name(path.name + "-wal")
        closed = log if log.exists() and not _may(log, os.R_OK) else shared
        reason = f"{closed} may not be read by {_whoami()}{cause}. Give that user read access to it"
    else:
        reason = f"{shared} does not exist{cause}, since nobody has the database open. Start ceems_api_server"
    return StorePermissionError(
        "The database is in WAL mode, and the file that SQLite keeps beside it may not be read.",
        f"{reason}; {path.name}, {path.name}-wal and {path.name}-shm need a group that both users are in.",
    )


def _may(path: Path, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def _whoami() -> str:
    try:
        return f"user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"user id {os.geteuid()}"

"""A connection to an SQLite file that is not trusted: it reaches no other file, and takes no value without measure."""

import sqlite3
from datetime import tzinfo
from typing import Any

LARGEST_VALUE = 8 * 1024 * 1024
"""Bytes of a text, row or statement. CEEMS writes a few KiB; the longest list in a question is 3 MiB as JSON."""


class GuardedConnection(sqlite3.Connection):
    """For the ``factory`` of `sqlite3.connect`; nothing in the file is looked at before the limits hold.

    Schemas are not trusted: functions in views, triggers, defaults and generated columns must be innocent ones
    (https://www.sqlite.org/pragma.html#pragma_trusted_schema). Nothing can be attached.
    """

    zone: tzinfo | None = None
    """The zone with which the functions of `ceems_grpc.store.sqlite.store` were registered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - those of sqlite3.Connection
        super().__init__(*arguments, **options)
        self.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        self.execute("PRAGMA trusted_schema = OFF").close()
        self.execute("PRAGMA query_only = ON").close()
        self.execute("PRAGMA mmap_size = 0").close()  # a file that is cut short would end the process

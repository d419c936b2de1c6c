"""A connection to an untrusted SQLite file. It reaches no other file and limits the size of values."""

import sqlite3
from datetime import tzinfo
from typing import Any

LARGEST_VALUE = 8 * 1024 * 1024
"""The most bytes of a text, row or statement. CEEMS writes a few KiB; the longest list of a question 3 MiB of JSON."""


class GuardedConnection(sqlite3.Connection):
    """For the ``factory`` of `sqlite3.connect`. The limits apply before anything in the file is read.

    Schemas are not trusted: views, triggers, defaults and generated columns can only use innocuous functions
    (https://www.sqlite.org/pragma.html#pragma_trusted_schema). No other file can be attached.
    """

    zone: tzinfo | None = None
    """The zone with which the functions of `ceems_grpc.store.sqlite.store` were registered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - those of sqlite3.Connection
        super().__init__(*arguments, **options)
        self.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        self.execute("PRAGMA trusted_schema = OFF").close()
        self.execute("PRAGMA query_only = ON").close()
        self.execute("PRAGMA mmap_size = 0").close()  # with it, a file that is cut short would end the process

"""The demo database, read past the plugin."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Database:
    path: Path
    connection: sqlite3.Connection

    def column(self, sql: str, *parameters: Any) -> list[Any]:
        """Return the first column of an answer."""
        return [row[0] for row in self.connection.execute(sql, parameters)]

    def value(self, sql: str, *parameters: Any) -> Any:
        """Return the only value of an answer."""
        (value,) = self.column(sql, *parameters)
        return value

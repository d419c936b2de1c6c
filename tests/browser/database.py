"""Reads the demo database directly, without the plugin."""

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
        """Return the first column of a statement's result."""
        return [row[0] for row in self.connection.execute(sql, parameters)]

    def value(self, sql: str, *parameters: Any) -> Any:
        """Return the only value of a statement's result."""
        (value,) = self.column(sql, *parameters)
        return value

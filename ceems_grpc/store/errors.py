"""The errors of stores, with messages for two audiences.

``str(error)`` is safe to show to anybody: no path, no SQL. ``error.detail`` is for administrators and logs.
"""


class StoreError(Exception):
    """The database cannot answer; the base of the errors below."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail or message


class StoreMissingError(StoreError):
    """There is no such file, or the path does not name a file."""


class StorePermissionError(StoreError):
    """The process may not read the file, a folder above it, or the files that SQLite keeps next to it."""


class StoreCorruptError(StoreError):
    """The file is not an SQLite database, or is damaged."""


class StoreSchemaError(StoreError):
    """The file is a database, but not of CEEMS: a table or column is missing."""


class StoreBusyError(StoreError):
    """A writer kept the database locked for longer than the busy timeout, or too many questions are waiting."""


def no_table(table: str) -> StoreSchemaError:
    """Make the error for a table that the database's version of CEEMS does not have."""
    return StoreSchemaError(f"This CEEMS database has no table {table}; it was made by an older version of CEEMS.")


def lacking(what: str, detail: str = "") -> StoreError:
    """Make the error for a missing table or column. ``what``: for example "column num_units"."""
    named = f": no {what}" if what else ""
    message = (
        f"The database lacks a table or column that this question needs{named}."
        " It was made by another version of CEEMS than this plugin knows."
    )
    return StoreError(message, f"{message} {detail}".strip())

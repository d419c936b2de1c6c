"""An empty CEEMS database of any schema version."""

import sqlite3

from ceems_grpc.demo.schema import LATEST_VERSION, create_indexes, create_tables


def create_schema(connection: sqlite3.Connection, version: int = LATEST_VERSION) -> None:
    """Create the empty tables and the indexes of schema `version`, and record it in schema_migrations.

    The database must not have any of these tables yet (sqlite3.OperationalError otherwise).
    Raises ValueError if there is no such version.
    """
    create_tables(connection, version)
    create_indexes(connection, version)

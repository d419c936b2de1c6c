"""Which versions of the CEEMS schema are known, and what is said of others.

A version is the number of the last migration that ran (`schema_migrations`); `ceems_grpc.demo.schema` says what each
holds. A database of a newer version is asked like the newest known one: its columns are looked up, not assumed.
"""

OLDEST = 4
"""Older ones have no projects, without which nobody's rights can be told."""
NEWEST = 9


def newer_schema(version: int) -> str | None:
    """Return a sentence about a version that is newer than the known ones; None for those that are known."""
    if version <= NEWEST:
        return None
    return (
        f"its schema version {version} is newer than the newest that this plugin knows ({NEWEST}): questions are"
        " answered as far as the known tables and columns are there; look for an update of the plugin"
    )

"""Looking into JSON of no fixed shape: what has another type than expected counts as absent."""

from typing import Any

from ceems_grpc.migrate.report import Json


def objects(value: Any) -> list[Json]:  # noqa: ANN401 - any JSON
    """Return the objects of a list (the very ones, to be changed in place); nothing if it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_object(value: Any) -> Json:  # noqa: ANN401 - any JSON
    """Return an object as it is; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str:  # noqa: ANN401 - any JSON
    """Return a text as it is; an empty one in place of anything else."""
    return value if isinstance(value, str) else ""

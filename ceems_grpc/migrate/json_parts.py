"""Access to JSON without a fixed shape: a value of an unexpected type counts as absent."""

from typing import Any

from ceems_grpc.migrate.report import Json


def objects(value: Any) -> list[Json]:  # noqa: ANN401 - any JSON
    """Return the objects in a list (not copies, so that they can be changed in place); nothing for other values."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_object(value: Any) -> Json:  # noqa: ANN401 - any JSON
    """Return an object unchanged, and an empty object for any other value."""
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str:  # noqa: ANN401 - any JSON
    """Return a text unchanged, and an empty text for any other value."""
    return value if isinstance(value, str) else ""

"""Random JSON, and the places in a document where it can be put."""

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

_SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8)


def any_json() -> st.SearchStrategy[Any]:
    return st.recursive(
        _SCALARS, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=6), inside, max_size=3)
    )


def places(part: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all places of a document: each is a container and a key in it."""
    for key, value in list(part.items()) if isinstance(part, dict) else list(enumerate(part)):
        yield part, key
        if isinstance(value, dict | list):
            yield from places(value)

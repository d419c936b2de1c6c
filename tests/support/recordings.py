"""Recorded answers of the reference server, and how answers are compared with them.

``synthetic.golden`` was recorded from the reference, ``synthetic.better`` holds the answers that our own rules give
where the reference is wrong. ``e2e`` holds another project's data: it lies beside the repository on some machines only,
and is asked there as well; `ALL` are the recordings that this machine has.
"""

import asyncio
import gzip
import json
import math
import os
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.support.places import GOLDEN, ROOT, SYNTHETIC

SHARED = Path(os.environ.get("CEEMS_SHARED_GOLDEN", ROOT.parent / "shared" / "golden"))


@dataclass(frozen=True)
class Recording:
    """A question to the API and its answer; ``user`` None: nobody is signed in."""

    index: int
    user: str | None
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    body: Any

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]

    def __str__(self) -> str:
        return f"#{self.index} {self.user} {self.path} {self.query}"


@dataclass(frozen=True)
class Recordings:
    name: str
    database: Path
    file: Path

    @cached_property
    def cases(self) -> tuple[Recording, ...]:
        data = gzip.decompress(self.file.read_bytes()) if self.file.suffix == ".gz" else self.file.read_bytes()
        return tuple(
            Recording(
                index,
                item["user"],
                item["path"],
                tuple((key, value) for key, value in item["query"]),
                item["status"],
                item["body"],
            )
            for index, item in enumerate(json.loads(data))
        )


_OTHERS = Recordings("e2e.golden", SHARED / "e2e.db", SHARED / "e2e.golden.json")

ALL = (
    Recordings("synthetic.golden", SYNTHETIC, GOLDEN / "synthetic.golden.json.gz"),
    Recordings("synthetic.better", SYNTHETIC, GOLDEN / "synthetic.better.json.gz"),
    *((_OTHERS,) if _OTHERS.file.exists() else ()),
)


def plain(body: Any) -> Any:
    """Leave out what is empty: absent, null, "", 0, {} and [] mean the same in the API's answers."""
    if isinstance(body, dict):
        return {key: kept for key, value in body.items() if not _empty(kept := plain(value))}
    if isinstance(body, list):
        return [plain(value) for value in body]
    return body


def _empty(value: Any) -> bool:
    return value is None or value in ("", 0, {}, [])


def same(left: Any, right: Any) -> bool:
    """Compare two plain bodies: floats within 1e-6, order of rows counts, order of keys does not."""
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return math.isclose(left, right, rel_tol=1e-6)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and bool(left == right)


def first_difference(got: Any, wanted: Any) -> str:
    """Describe where two bodies differ, shortly enough for a test report."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        for key in sorted(got.keys() | wanted.keys()):
            if key not in got or key not in wanted or not same(got[key], wanted[key]):
                return f".{key}{first_difference(got.get(key), wanted.get(key))}"
    if isinstance(got, list) and isinstance(wanted, list):
        if len(got) != len(wanted):
            return f": {len(got)} rows, wanted {len(wanted)}"
        for index, pair in enumerate(zip(got, wanted, strict=True)):
            if not same(*pair):
                return f"[{index}]{first_difference(*pair)}"
    return f": {str(got)[:300]!r}, wanted {str(wanted)[:300]!r}"


async def gathered(questions: Iterable[Awaitable[str]]) -> list[str]:
    """Ask, eight at a time, and return in order what was told of answers that differ."""
    few = asyncio.Semaphore(8)

    async def ask(question: Awaitable[str]) -> str:
        async with few:
            return await question

    return [text for text in await asyncio.gather(*map(ask, questions)) if text]

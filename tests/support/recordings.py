"""Recorded answers of the reference server.

``synthetic.golden`` was recorded from the reference; ``synthetic.better`` has the answers by this project's rules where
the reference is wrong. ``e2e`` holds another project's data, which only some machines have beside the repository; the
tests use it there too. `ALL` are the recordings that this machine has.
"""

import asyncio
import gzip
import json
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
    """A question to the API and its answer; ``user`` is None if nobody is signed in."""

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


async def gathered(questions: Iterable[Awaitable[str]]) -> list[str]:
    """Ask all questions, eight at a time; return the descriptions of the answers that differ, in order."""
    few = asyncio.Semaphore(8)

    async def ask(question: Awaitable[str]) -> str:
        async with few:
            return await question

    return [text for text in await asyncio.gather(*map(ask, questions)) if text]

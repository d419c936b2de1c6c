"""What a feeder keeps in PostgreSQL about the site that it feeds."""

import zlib
from dataclasses import dataclass

import msgspec

from ceems_grpc.store.columnar.layout import Meta
from ceems_grpc.store.postgres.connection import Connection

_LOCK = 0x6365656D  # "ceem": the first half of the keys of advisory locks


@dataclass(frozen=True, slots=True)
class Site:
    """What is fed. ``weights``: see `TableCatalog`; ``schema_version``: of CEEMS."""

    name: str
    zone: str
    schema_version: int
    keep_history: bool
    weights: dict[str, str]


class FeedState(msgspec.Struct):
    """What the feeder knows of what it has written.

    ``meta`` is None while the site is being filled. ``counts``: rows of the file per table. ``kept``: units of kept
    history; ``detachings``: how often rows were detached.
    """

    meta: Meta | None = None
    counts: dict[str, int] = {}
    kept: int = 0
    detachings: int = 0
    newest: int | None = None
    resources: set[tuple[str, str]] = set()
    rollups: bool = False

    @classmethod
    def read(cls, text: str) -> "FeedState":
        """Read what was written, also by a version of this program whose ``meta`` means nothing to this one."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError:
            return msgspec.convert({**msgspec.json.decode(text), "meta": None}, type=cls)


def lock_site(connection: Connection, schema: str, site: str) -> bool:
    """Take the right to write a site, for as long as the connection lives; False where another connection has it."""
    key = zlib.crc32(f"{schema}\0{site}".encode()) - (1 << 31)
    taken: bool = connection.fetch(f"SELECT pg_try_advisory_lock({_LOCK}, {key})").column(0)[0].as_py()
    return taken

"""The state that a feeder stores in PostgreSQL about its site."""

import zlib
from dataclasses import dataclass

import msgspec

from ceems_grpc.store.columnar.layout import Meta
from ceems_grpc.store.postgres.connection import PostgresConnection

_LOCK = 0x6365656D  # "ceem": the first half of the keys of advisory locks


@dataclass(frozen=True, slots=True)
class FeedSite:
    """The site that is fed. ``weights``: see `TableCatalog`. ``schema_version``: of its CEEMS database."""

    name: str
    zone: str
    schema_version: int
    keep_history: bool
    weights: dict[str, str]


class FeedState(msgspec.Struct):
    """What the feeder has written.

    ``meta`` is None while the site is being filled. ``counts``: the number of rows of the file per table. ``kept``: the
    number of units of kept history. ``detachings``: how often rows have been detached. ``newest``: the newest update of
    a unit, in seconds since 1970. ``resources``: pairs of cluster and resource manager. ``rollups``: whether the
    rollups are complete.
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
        """Read a stored state. ``meta`` is None if another version of this program wrote one that this cannot read."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError:
            return msgspec.convert({**msgspec.json.decode(text), "meta": None}, type=cls)


def lock_site(connection: PostgresConnection, schema: str, site: str) -> bool:
    """Lock a site for writing while the connection lives. Return False if another connection holds the lock."""
    key = zlib.crc32(f"{schema}\0{site}".encode()) - (1 << 31)
    taken: bool = connection.fetch(f"SELECT pg_try_advisory_lock({_LOCK}, {key})").column(0)[0].as_py()
    return taken

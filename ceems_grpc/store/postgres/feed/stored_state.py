"""Where a feeder stores its state: in `feed_state` for itself, and in `sites` for those who read."""

import msgspec

from ceems_grpc.store.columnar.layout import quote, text
from ceems_grpc.store.postgres.connection import PostgresConnection
from ceems_grpc.store.postgres.feed.state import FeedSite, FeedState
from ceems_grpc.store.postgres.schema import SITE


class StoredState:
    """The stored state of one site."""

    def __init__(self, connection: PostgresConnection, schema: str, site: FeedSite) -> None:
        self._connection = connection
        self._space = quote(schema)
        self._site = site
        self._where = f"{SITE} = {text(site.name)}"

    def clusters(self) -> set[str]:
        """Return the ids of the clusters that belong to the site."""
        owned = self._connection.fetch(f"SELECT cluster_id FROM {self._space}.clusters WHERE {self._where}")  # noqa: S608
        return set(owned.column(0).to_pylist())

    def read(self) -> FeedState:
        """Return the state. If shards were being written when a feeder ended, the site has to be filled again."""
        found = self._connection.fetch(f"SELECT state, begun FROM {self._space}.feed_state WHERE {self._where}")  # noqa: S608
        if not found.num_rows:
            return FeedState()
        state = FeedState.read(found.column(0)[0].as_py())
        if found.column(1)[0].as_py():  # shards may have rows that the coordinator does not know of
            state = msgspec.structs.replace(state, meta=None, rollups=False, detachings=state.detachings + 1)
        return state

    def write(self, state: FeedState, units: int) -> None:
        """Write the state, within a transaction. ``units``: the number of units, kept history included."""
        encoded = text(msgspec.json.encode(state).decode())
        site = text(self._site.name)
        self._connection.run(
            f"INSERT INTO {self._space}.feed_state (site, state) VALUES ({site}, {encoded})"  # noqa: S608 - quoted texts
            " ON CONFLICT (site) DO UPDATE SET state = excluded.state, begun = false"
        )
        shown = {
            "zone": text(self._site.zone),
            "schema_version": str(self._site.schema_version),
            "commits": "1",
            "fed_at": "now()",
            "newest": "NULL" if state.newest is None else str(state.newest),
            "units": str(units),
            "resources": f"{text(msgspec.json.encode(sorted(state.resources)).decode())}::jsonb",
            "complete": str(state.meta is not None),
            "rollups": str(state.rollups),
            "keep_history": str(self._site.keep_history),
        }
        kept = {"commits": "sites.commits + 1", "complete": "sites.complete OR excluded.complete"}
        updates = ", ".join(f"{name} = {kept.get(name, f'excluded.{name}')}" for name in shown)
        self._connection.run(
            f"INSERT INTO {self._space}.sites (site, {', '.join(shown)}) VALUES ({site}, {', '.join(shown.values())})"  # noqa: S608
            f" ON CONFLICT (site) DO UPDATE SET {updates}"
        )

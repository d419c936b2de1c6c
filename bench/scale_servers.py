"""A coordinator and two shards whose data stays on disk between runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.postgres.servers import Server, Shards

SHARDS = ("shard1", "shard2")
_SETTINGS = {
    "shared_buffers": "512MB",
    "effective_cache_size": "6GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "4GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "checkpoint_timeout": "30min",
    "max_worker_processes": "8",
    "random_page_cost": "1.1",
}


@contextmanager
def kept_servers(folder: Path) -> Iterator[Shards]:
    """Run the three servers on the data in a folder, or on a new one; stop them in order at the end."""
    with ExitStack() as stack:
        coordinator, *shards = (stack.enter_context(_running(folder / name)) for name in ("coordinator", *SHARDS))
        yield Shards(coordinator, dict(zip(SHARDS, shards, strict=True)))


def point_at_shards(servers: Shards, database: str) -> None:
    """Tell the coordinator the current ports of the shards."""
    for name, server in servers.shards.items():
        servers.coordinator.run(f"ALTER SERVER {name} OPTIONS (SET port '{server.port}')", database=database)


def size(servers: Shards, database: str, names: str) -> int:
    """Return the size, in bytes, of all tables on all servers whose names match a LIKE pattern, with their indexes."""
    statement = (
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c"  # noqa: S608 - a constant
        " JOIN pg_namespace n ON n.oid = relnamespace"
        f" WHERE nspname = 'ceems' AND relkind = 'r' AND relname LIKE '{names}'"
    )
    found = [server.rows(statement, database)[0][0] for server in (servers.coordinator, *servers.shards.values())]
    return sum(int(str(value)) for value in found)


@contextmanager
def _running(folder: Path) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder)
    server.start(**_SETTINGS)
    try:
        yield server
    finally:
        server.stop("fast")

"""The stores with which the event loop is watched: a file, its mirror, two sources, a server, PostgreSQL."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.authority import Authority
from tests.load.mix import health, settle
from tests.sources.two_sites import Several
from tests.support.bridge_servers import Files, serving
from tests.support.plugin.process import Plugin
from tests.support.postgres.servers import PASSWORD, Server
from tests.support.postgres.stores import fed

STORES = ("file", "mirror", "two files", "server", "file and server", "postgres")
"""``server``: another host is asked; ``file and server``: it is one of two sources."""


@asynccontextmanager
async def opened(
    kind: str, plugin: Plugin, database: Path, watched: Sequence[str], request: Any
) -> AsyncIterator[Several]:
    """Open a data source of a kind on the database, or on its two halves.

    ``watched`` is the command of a watched process, for the server; ``request`` is pytest's.
    """
    mirror = {"mode": "off"}
    async with AsyncExitStack() as stack:
        match kind:
            case "file":
                yield Several(plugin, {"path": str(database), "mirror": mirror})
            case "mirror":
                enlarge(database)
                ceems = Several(plugin, {"path": str(database), "mirror": {"folder": str(database.parent / "mirror")}})
                await settle(ceems)
                assert '"mirror":"fresh"' in (await health(ceems)).replace(" ", "")
                yield ceems
            case "two files":
                one, two = halves(database)
                sources = [{"name": "one", "path": str(one)}, {"name": "two", "path": str(two)}]
                yield Several(plugin, {"sources": sources, "sourceTimeout": "60s", "mirror": mirror})
            case "server" | "file and server":
                files = Files(database.parent, Authority())
                one, two = halves(database)
                served = database if kind == "server" else two
                arguments = ["--database", str(served), "--mirror", "off", *files.tls, *files.tokens]
                server = await stack.enter_async_context(serving(*arguments, command=watched))
                far = {"address": f"localhost:{server.port}"}
                names = {"token": files.token, "caCert": files.authority.certificate}
                if kind == "server":
                    yield Several(plugin, far, names)
                else:
                    sources = [{"name": "one", "path": str(one)}, {"name": "two", **far}]
                    settings = {"sources": sources, "sourceTimeout": "60s", "mirror": mirror}
                    yield Several(plugin, settings, {f"two.{name}": text for name, text in names.items()})
            case "postgres":
                postgres: Server = request.getfixturevalue("server")
                name: str = request.getfixturevalue("empty_database")
                fed(postgres, name, database, None)
                yield Several(plugin, {"postgres": postgres.url(name)}, {"postgresPassword": PASSWORD})


def enlarge(database: Path) -> None:
    """Enlarge the file, with bytes that no question reads, until it gets a mirror."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE padding (bytes BLOB)")
        connection.executemany("INSERT INTO padding VALUES (zeroblob(?))", [[2**20]] * 40)


def halves(database: Path) -> tuple[Path, Path]:
    """Split the units alternately into two copies of the database; the second copy has another cluster."""
    one, two = (database.with_name(f"{name}.db") for name in ("one", "two"))
    for number, path in enumerate((one, two)):
        shutil.copy(database, path)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM units WHERE id % 2 = ?", [number])
            if number:
                for table in ("units", "usage", "daily_usage", "users", "projects"):
                    connection.execute(f"UPDATE {table} SET cluster_id = 'other'")
    return one, two


def kinds() -> list[Any]:
    """Return the kinds as parameters for pytest, with PostgreSQL only if it is installed."""
    return [pytest.param(kind, marks=[pytest.mark.postgres] if kind == "postgres" else []) for kind in STORES]

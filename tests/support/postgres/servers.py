"""Real PostgreSQL servers for tests: created in a temporary folder, on loopback, removed afterwards.

PostgreSQL refuses to run as root: if root runs the tests, the server runs as user postgres (or nobody).
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from adbc_driver_postgresql import dbapi

from tests.support.finished import finished
from tests.support.ports import free_port

PASSWORD = "test-password"
SUPERUSER = "postgres"
_LEAST_FREE = 4 << 30  # bytes
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "max_worker_processes": "4",
    "log_min_messages": "warning",
}
_PATIENCE = 120.0  # seconds that initdb and pg_ctl may take; pg_ctl itself waits for a minute


def binaries() -> Path | None:
    """Return the folder with the programs of PostgreSQL 15 or a newer version; None if none is installed."""
    for folder in (*sorted(Path("/usr/lib/postgresql").glob("*/bin")), *map(Path, os.get_exec_path())):
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    return None


class Server:
    """A server with one superuser. TCP connections need a password. An existing data folder is used as it is."""

    def __init__(self, folder: Path) -> None:
        found = binaries()
        assert found is not None
        self._programs = found
        self.folder = folder
        self.port = free_port()
        self._user = _unprivileged()
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        if not self._data.exists():
            self._do("initdb", "-D", str(self._data), "-U", SUPERUSER, "-A", "scram-sha-256", "--pwfile", str(secret),
                     "--no-sync", "--no-instructions", "-E", "UTF8", "--locale", "C")  # fmt: skip
        self._made = 0
        self._connections: dict[str, dbapi.Connection] = {}

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self, **more: str) -> None:
        """Start the server and wait until it answers. ``more``: additional settings by name."""
        settings = {**_SETTINGS, **more, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._do("pg_ctl", "start", "-D", str(self._data), "-w", "-o", options, "-l", str(self.folder / "log"))

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server as a crash does (``immediate``) or cleanly (``fast``)."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        with suppress(subprocess.CalledProcessError):
            self._do("pg_ctl", "stop", "-D", str(self._data), "-m", mode, "-w")

    def url(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """Return a URL without a password, as in the settings of a data source."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def full_url(self, database: str = "postgres", user: str = SUPERUSER, password: str = PASSWORD) -> str:
        """Return a URL with a password."""
        return f"postgresql://{user}:{quote(password)}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its name."""
        self._made += 1
        name = f"d{self._made}"
        self.run(f"CREATE DATABASE {name}")
        return name

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser, each in its own transaction."""
        with self._open(database).cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Return the rows of a statement."""
        with self._open(database).cursor() as cursor:
            cursor.execute(statement)
            found = cursor.fetch_arrow_table()  # many times as fast as row by row
            return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def _open(self, database: str) -> dbapi.Connection:
        """Return a connection that is kept open, since opening one takes longer than most statements."""
        if database not in self._connections:
            self._connections[database] = dbapi.connect(self.full_url(database), autocommit=True)
        return self._connections[database]

    def psql(
        self, script: str, database: str, user: str = SUPERUSER, *, password: str = PASSWORD, **variables: str
    ) -> str:
        """Run a script with psql, which stops at the first error, and return what it prints."""
        arguments = [str(self._programs / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        for name, value in variables.items():
            arguments += ["-v", f"{name}={value}"]
        done = finished([*arguments, self.full_url(database, user, password)], given=script)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _do(self, program: str, *arguments: str) -> None:
        user = self._user
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True,
            timeout=_PATIENCE,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
        )


@dataclass(frozen=True, slots=True)
class Shards:
    """A coordinator and the shards behind it, by the names of their foreign servers."""

    coordinator: Server
    shards: dict[str, Server]


@contextmanager
def running() -> Iterator[Server]:
    """Run a server. Skips the test where PostgreSQL is not installed."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql-15)")
    folder = Path(tempfile.mkdtemp(prefix="ceems-pg-", dir=_place()))
    try:
        folder.chmod(0o755)
        server = Server(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Return a running server."""
    with running() as found:
        yield found


@pytest.fixture(scope="session")
def shards(server: Server) -> Iterator[Shards]:
    """Return a coordinator and two shards; three servers."""
    with ExitStack() as stack:
        yield Shards(server, {name: stack.enter_context(running()) for name in ("shard1", "shard2")})


@pytest.fixture
def empty_database(server: Server) -> str:
    """Return the name of a fresh database on the server."""
    return server.new_database()


def _place() -> str:
    """Return a folder for servers, in memory if there is enough. Its path is short, as the paths of sockets must be."""
    with suppress(OSError):
        if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > _LEAST_FREE:
            return "/dev/shm"
    return "/tmp"


def _unprivileged() -> pwd.struct_passwd | None:
    """Return the user that a server runs as; None means the user who runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("there is no user postgres or nobody, and PostgreSQL does not run as root")

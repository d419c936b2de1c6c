"""A database, the real plugin process that reads it, and checks of what the process answers."""

import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ceems_grpc.demo.database import write_demo_database
from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.load.mix import settle
from tests.support.plugin.ceems import COMMAND, CeemsPlugin, read_frame
from tests.support.plugin.process import running

YEARS = (1_500_000_000_000, 2_500_000_000_000)  # ms
_PATIENCE = 30.0
# Larger than the size above which a database gets a mirror; in a table that no question reads.
_FILLER = 33 * 1024 * 1024


@dataclass(frozen=True)
class Numbers:
    """Numbers that differ between databases: units, their seconds of wall time, units as totals count them."""

    units: int
    walltime: int
    counted: int


@dataclass(frozen=True)
class Pristine:
    """A database that no process opens, and the numbers that a plugin must answer for a copy of it."""

    path: Path
    numbers: Numbers

    def put(self, path: Path) -> Path:
        """Replace the file at the path by a copy, atomically, as a restore should."""
        copy = path.with_name(path.name + ".new")
        shutil.copyfile(self.path, copy)
        return copy.replace(path)


def make_pristine(path: Path, units: int, *, mirrored: bool, journal: str = "wal") -> Pristine:
    """Write a database; with ``mirrored`` it is large enough to get a mirror."""
    write_demo_database(path, units=units, days=20, users=12)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if mirrored:
            connection.execute("CREATE TABLE filler (data BLOB)")
            connection.execute("INSERT INTO filler VALUES (zeroblob(?))", (_FILLER,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute(f"PRAGMA journal_mode = {journal}")
        numbers = numbers_of(connection)
    return Pristine(path, numbers)


def numbers_of(connection: sqlite3.Connection) -> Numbers:
    """Read the expected numbers from a database."""
    units, walltime = connection.execute(
        "SELECT count(*), sum(json_extract(total_time_seconds, '$.walltime')) FROM units"
    ).fetchone()
    (counted,) = connection.execute("SELECT sum(num_units) FROM usage").fetchone()
    return Numbers(int(units), round(walltime), int(counted))


@dataclass(frozen=True)
class Refusal:
    """An error instead of an answer."""

    status: int
    text: str


class CheckedPlugin:
    """Asks a running plugin about a database, and checks the answers."""

    def __init__(self, ceems: CeemsPlugin) -> None:
        self.ceems = ceems
        self._asked = 0

    @property
    def pid(self) -> int:
        """The id of the plugin process."""
        return self.ceems.plugin.process.pid

    async def ask(self, role: str = "Viewer") -> Numbers | Refusal:
        """Ask for the three numbers as a CEEMS administrator who has this Grafana role; windows differ."""
        self._asked += 1
        window = (YEARS[0], YEARS[1] + self._asked * 900_000)
        metrics = ["total_time_seconds", "num_units"]
        models: dict[str, dict[str, Any]] = {
            "current": {"queryType": "usage", "admin": True, "fields": metrics},
            "global": {"queryType": "usage", "mode": "global", "admin": True, "fields": metrics},
        }
        answers = await self.ceems.query("admin", models, window, role=role)
        for answer in answers.values():
            if answer.error:
                return Refusal(answer.status, answer.error)
        current, total = (
            [row for frame in answers[name].frames for row in read_frame(frame).to_pylist()] for name in models
        )
        return Numbers(
            sum(int(row["num_units"]) for row in current),
            round(sum(row["total_time_seconds.walltime"] or 0 for row in current)),
            sum(int(row["num_units"]) for row in total),
        )

    async def health(self, role: str = "Viewer") -> tuple[bool, str]:
        """Return whether the health check succeeds, and its message."""
        request = pb.CheckHealthRequest(pluginContext=self.ceems.asker("admin", role).context())
        answer = await self.ceems.plugin.call("Diagnostics.CheckHealth", request)
        return answer.status == pb.CheckHealthResponse.OK, str(answer.message)

    async def is_well(self, pristine: Pristine) -> None:
        """Check that the next answer is that of the database, and that the health check succeeds."""
        answer = await self.ask()
        assert answer == pristine.numbers, f"{answer} instead of {pristine.numbers}"
        well, said = await self.health()
        assert well, said

    async def is_told(self, status: int, words: str, secret: Path) -> None:
        """Check that questions and health report the error, and that only administrators see the path."""
        answer = await self.ask()
        assert isinstance(answer, Refusal), answer
        assert answer.status == status, answer
        assert words in answer.text, answer
        well, said = await self.health()
        assert not well, said
        assert words in said, said
        for text in (answer.text, said):
            assert str(secret.parent) not in text
            assert "SELECT" not in text
        rest = await self.ceems.resource("admin", "units/admin")
        assert rest.status == status, rest
        assert words in rest.json["error"]
        assert str(secret.parent) not in rest.json["error"]
        told = await self.ask("Admin")
        assert isinstance(told, Refusal)
        assert str(secret) in told.text or str(secret.parent) in told.text, told
        # The fault is outside the plugin, so the plugin logs no error.
        assert not [line for line in self.ceems.plugin.log() if line.get("@level") == "error"]

    async def mirrored(self) -> None:
        """Wait until the mirror is current."""
        await settle(self.ceems, _PATIENCE)


@asynccontextmanager
async def checked_plugin(
    database: Path,
    folder: Path | None,
    command: Sequence[str] = COMMAND,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[CheckedPlugin]:
    """Run the plugin on a database; ``folder`` is that of the mirror, None for no mirror."""
    mirror = {"mode": "off"} if folder is None else {"mode": "auto", "folder": str(folder)}
    async with running(command, environment) as plugin:
        yield CheckedPlugin(CeemsPlugin(plugin, {"path": str(database), "timezone": "Europe/Paris", "mirror": mirror}))


def as_python(setup: str) -> tuple[str, ...]:
    """Return a command that runs some Python, and then the plugin in the same process."""
    return (
        sys.executable,
        "-c",
        f"import sys\n{setup}\nfrom ceems_grpc.__main__ import main\nsys.argv[1:] = ['serve']\nsys.exit(main())",
    )


def as_user(uid: int) -> tuple[str, ...]:
    """Return a command that runs the plugin with the rights of another user; only root can run it.

    It imports everything first, since the other user may be unable to read the sources.
    """
    return as_python(
        "import importlib, os, pkgutil, ceems_grpc, tests.support.other_user\n"
        "import _strptime, duckdb, pyarrow.compute, zoneinfo, sqlite3, adbc_driver_sqlite.dbapi\n"
        "for module in pkgutil.walk_packages(ceems_grpc.__path__, 'ceems_grpc.'):\n"
        "    module.name.endswith('__main__') or importlib.import_module(module.name)\n"
        "zoneinfo.ZoneInfo('Europe/Paris')\n"
        f"os.setgroups([]); os.setegid({uid}); os.seteuid({uid})"
    )


def names(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the paths in a folder, sorted."""
    return sorted(folder.glob(pattern))


def series(text: str) -> set[str]:
    """Return the names and labels of Prometheus samples."""
    return {line.rpartition(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}

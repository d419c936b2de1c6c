"""Two sites with one database each, and a data source that merges them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.databases import DAY, NOON, SiteDatabase
from tests.support.plugin.process import Asker
from tests.support.plugin.source import Source

WINDOW = (("from", str(NOON - 3600)), ("to", str(NOON + 3600)))
MILLISECONDS = ((NOON - 3600) * 1000, (NOON + 3600) * 1000)
ENERGY = "total_cpu_energy_usage_kwh"


def write_site(path: Path, cluster: str, *, admin: str, kwh: float, users: tuple[str, ...] = ("ann", "bob")) -> Path:
    """Write a site of one cluster: each user has one unit in project alpha, which used ``kwh``."""
    with SiteDatabase(path) as site:
        site.project("alpha", list(users), cluster=cluster)
        site.admin(admin)
        for user in users:
            site.user(user, ["alpha"], cluster=cluster)
            metrics: dict[str, Any] = {ENERGY: {"total": kwh, f"only_{cluster}": 1}}
            site.unit(f"{cluster}-{user}", user, "alpha", NOON, cluster=cluster, **metrics)
            site.usage(user, "alpha", NOON, cluster=cluster, **metrics)
            site.usage(user, "alpha", NOON // DAY * DAY, cluster=cluster, daily=True, **metrics)
    return path


def write_north_and_south(folder: Path) -> tuple[Path, Path]:
    """Write two sites with units of ann and bob; root-n is an administrator of the north, root-s of the south."""
    north = write_site(folder / "north.db", "slurm-n", admin="root-n", kwh=1.5)
    south = write_site(folder / "south.db", "os-s", admin="root-s", kwh=0.25, users=("ann", "bob", "root-n"))
    return north, south


@dataclass
class Several(Source):
    """A data source that merges several databases, in a running plugin."""

    secure_json: dict[str, str] = field(default_factory=dict)

    def asker(self, login: str | None, role: str = "Viewer") -> Asker:
        asker = super().asker(login, role)
        asker.secure_json = self.secure_json
        return asker

    async def units(self, login: str, *query: tuple[str, str], path: str = "units") -> tuple[list[str], list[str]]:
        """Return the uuids of a REST answer, and its warnings."""
        got = await self.get(login, path, *WINDOW, *query)
        assert got.status == 200, got.body
        return [row["uuid"] for row in got.json["data"]], got.json.get("warnings", [])


def files(**paths: Path) -> list[dict[str, Any]]:
    """Return the settings of sources that are files; each keyword is the name of a source."""
    return [{"name": name.replace("_", "-"), "path": str(path)} for name, path in paths.items()]

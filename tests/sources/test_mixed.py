"""A file with a mirror, a server on another host and a database in PostgreSQL, in one data source; real processes."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.golden.panels_and_rest import differences
from tests.sources.test_recordings import split_by_cluster
from tests.sources.two_sites import ENERGY, MILLISECONDS, WINDOW, Several, write_site
from tests.support.bridge_servers import Files, serving
from tests.support.databases import PARIS
from tests.support.plugin.ceems import COMMAND, read_frame
from tests.support.plugin.process import Plugin, running
from tests.support.plugin.source import error_of
from tests.support.postgres.servers import PASSWORD, Server, Shards
from tests.support.postgres.setup import FEEDER, READER, new_sharded_database
from tests.support.postgres.stores import fed
from tests.support.recordings import ALL

pytestmark = pytest.mark.postgres
MIRRORED = 33 * 1024 * 1024  # bytes; smaller files have no mirror


def pad(path: Path) -> None:
    """Make a database large enough for a mirror, and put it into WAL mode as CEEMS does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE padding (bytes BLOB)")
        connection.execute("INSERT INTO padding VALUES (zeroblob(?))", (MIRRORED,))
        connection.execute("PRAGMA journal_mode = WAL")


@asynccontextmanager
async def mixed(
    paths: list[Path], folder: Path, url: str, password: str, **settings: Any
) -> AsyncIterator[tuple[Several, Plugin]]:
    """Run a plugin over the first file with a mirror, a server for the second, and PostgreSQL for the rest."""
    pad(paths[0])
    files = Files(folder)
    zone = ("--timezone", "Europe/Paris")
    async with serving("--database", str(paths[1]), *files.tls, *files.tokens, *zone) as remote:
        sources = [
            {"name": "here", "path": str(paths[0]), "timezone": "Europe/Paris"},
            {"name": "there", "address": f"localhost:{remote.port}"},
            {"name": "history", "postgres": url},
        ]
        secrets = {
            "there.token": files.token,
            "there.caCert": files.authority.certificate,
            "history.postgresPassword": password,
        }
        mirror = {"mode": "auto", "folder": str(folder / "mirror")}
        described = {"sources": sources, "sourceTimeout": "30s", "mirror": mirror, **settings}
        async with running(COMMAND) as plugin:
            ceems = Several(plugin, described, secrets)
            yield ceems, plugin


async def places(ceems: Several, model: dict[str, Any], window: tuple[int, int], login: str) -> set[str]:
    """Return the sources of a panel's rows, as the query inspector shows them."""
    answer = (await ceems.query(login, {"A": model}, window))["A"]
    assert not answer.error, answer.error
    meta = json.loads(read_frame(answer.frames[0]).schema.metadata[b"meta"])
    return {stat["displayName"] for stat in meta["stats"] if stat["displayName"].startswith("Statements, ")}


def thirds(database: Path, folder: Path) -> list[Path]:
    """Split a database into three by cluster."""
    odd, even = split_by_cluster(database, folder)
    (folder / "again").mkdir()
    return [odd, *split_by_cluster(even, folder / "again")]


async def test_recorded_answers(server: Server, empty_database: str, tmp_path: Path) -> None:
    """Three sources of three kinds give the answers that one database with all rows gave."""
    recordings = ALL[0]
    paths = thirds(recordings.database, tmp_path)
    await asyncio.to_thread(fed, server, empty_database, paths[2], PARIS)
    async with mixed(paths, tmp_path, server.url(empty_database), PASSWORD) as (ceems, _):
        window = (1_763_700_000_000, 1_767_250_000_000)
        model: dict[str, Any] = {"queryType": "usage-over-time", "admin": True, "groupBy": ["cluster_id"]}
        async with asyncio.timeout(20):  # the mirror is made in the background
            while "Statements, here mirror" not in (found := await places(ceems, model, window, "admin")):
                model["limit"] = model.get("limit", 100) + 1  # another question, whose answer is not cached
        assert found >= {"Statements, there server", "Statements, history database"}
        wrong = await differences(ceems, recordings)
    assert not wrong, "\n".join(sorted(wrong)[:10])


@pytest.fixture
def four_sites(server: Server, empty_database: str, tmp_path: Path) -> list[Path]:
    """Write a site for the file, one for the server, and two that are fed into PostgreSQL."""
    north = write_site(tmp_path / "north.db", "slurm-n", admin="root-n", kwh=1.5)
    south = write_site(tmp_path / "south.db", "os-s", admin="root-s", kwh=0.25)
    for name, cluster in (("west", "slurm-w"), ("east", "k8s-e")):
        path = write_site(tmp_path / f"{name}.db", cluster, admin=f"root-{name[0]}", kwh=4, users=("ann", "root-n"))
        fed(server, empty_database, path, PARIS, site=name)
    return [north, south]


ADMINISTRATORS = {"root-n": "slurm-n", "root-s": "os-s", "root-w": "slurm-w", "root-e": "k8s-e"}


async def check_administrators(ceems: Several) -> None:
    """Check that each administrator sees all rows of their own site and none of another."""
    for login, cluster in ADMINISTRATORS.items():
        for path in ("units/admin", "usage/current/admin", "usage/global/admin", "users/admin", "projects/admin",
                     "stats/current/admin"):  # fmt: skip
            rows = await ceems.rows(login, path, *WINDOW)
            assert {row["cluster_id"] for row in rows} == {cluster}, (login, path)
        assert [row["id"] for row in await ceems.rows(login, "clusters/admin")] == [cluster]
        foreign = next(other for other in ADMINISTRATORS.values() if other != cluster)
        verify = await ceems.get(login, "units/verify", ("cluster_id", foreign), ("uuid", f"{foreign}-ann"))
        assert verify.status == 403


async def test_what_a_source_says_of_rights_counts_for_its_own_clusters(
    four_sites: list[Path], server: Server, empty_database: str, tmp_path: Path
) -> None:
    """A database states rights on the clusters of other sources: in a file, behind a bridge and in PostgreSQL."""
    for path, own in zip(four_sites, ("slurm-n", "os-s"), strict=True):
        others = [cluster for cluster in ADMINISTRATORS.values() if cluster != own]
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("ALTER TABLE admin_users ADD COLUMN clusters text")
            connection.execute("UPDATE admin_users SET clusters = ?", (json.dumps([*others, own]),))
    claimed = '(clusters::jsonb || \'["slurm-n", "os-s"]\'::jsonb)::text'
    server.run(f"UPDATE ceems.admin_users SET clusters = {claimed}", database=empty_database)
    async with mixed(four_sites, tmp_path, server.url(empty_database), PASSWORD) as (ceems, _):
        await check_administrators(ceems)
        told = await ceems.rows("root-n", "users/admin", ("role", "admin"))
        assert [row["name"] for row in told] == ["root-n"]


async def test_administrators_administer_their_site_wherever_it_is(
    four_sites: list[Path], server: Server, empty_database: str, tmp_path: Path
) -> None:
    async with mixed(four_sites, tmp_path, server.url(empty_database), PASSWORD) as (ceems, _):
        await check_administrators(ceems)
        # A panel also shows what any user sees: root-n has units of their own in the west and in the east.
        table = await ceems.table("root-n", {"queryType": "units", "admin": "auto"}, MILLISECONDS)
        uuids = set(table.column("uuid").to_pylist())
        assert uuids == {"slurm-n-ann", "slurm-n-bob", "slurm-w-root-n", "k8s-e-root-n"}
        # A user in all sources has one row of usage over all of them.
        usage = await ceems.table("ann", {"queryType": "usage", "fields": ["username", ENERGY]}, MILLISECONDS)
        energy = {row["username"]: row[f"{ENERGY}.total"] for row in usage.to_pylist()}
        assert energy["ann"] == pytest.approx(1.5 + 0.25 + 4 + 4)
        health = await ceems.health()
        assert health.status == pb.CheckHealthResponse.OK, health.message
        parts = {source["name"] for source in json.loads(health.jsonDetails)["sources"]}
        assert parts == {"here", "there", "history"}


async def test_postgresql_that_is_stopped_is_named_and_comes_back(
    four_sites: list[Path], server: Server, empty_database: str, tmp_path: Path
) -> None:
    url = server.url(empty_database)
    async with mixed(four_sites, tmp_path, url, PASSWORD) as (ceems, plugin):
        assert await ceems.units("ann") == (["k8s-e-ann", "os-s-ann", "slurm-n-ann", "slurm-w-ann"], [])
        strict = Several(plugin, {**ceems.json_data, "onSourceFailure": "error"}, ceems.secure_json)
        assert (await strict.units("ann"))[1] == []
        server.stop("fast")
        try:
            uuids, (warning,) = await ceems.units("ann")
            assert uuids == ["os-s-ann", "slurm-n-ann"]
            assert warning.startswith("Rows of source 'history' (clusters k8s-e, slurm-w) are missing: ")
            assert "PostgreSQL server does not answer" in warning
            assert "127.0.0.1" not in warning
            frame = read_frame((await ceems.query("ann", {"A": {"queryType": "usage"}}, MILLISECONDS))["A"].frames[0])
            assert warning in [notice["text"] for notice in json.loads(frame.schema.metadata[b"meta"])["notices"]]
            # Questions that do not concern the source are answered as usual; questions that need it get an error that
            # names it.
            assert await ceems.units("ann", ("cluster_id", "slurm-n")) == (["slurm-n-ann"], [])
            status, _, message = error_of(await ceems.get("ann", "units", *WINDOW, ("cluster_id", "k8s-e")))
            assert status >= 500
            assert "'history'" in message
            # Only PostgreSQL knows whether they administer anything.
            assert (await ceems.get("root-w", "units/admin", *WINDOW)).status == 503
            status, _, message = error_of(await strict.get("ann", "units", *WINDOW))
            assert status >= 500
            assert message == warning
            assert (await strict.query("ann", {"A": {"queryType": "stats"}}, MILLISECONDS))["A"].error == warning
            health = await ceems.health("ann", "Admin")
            assert health.status == pb.CheckHealthResponse.ERROR
            assert health.message.startswith("2 of 3 sources answer; history does not.")
        finally:
            server.start()
        async with asyncio.timeout(20):
            while (await ceems.units("ann"))[1]:
                continue
        assert len((await ceems.units("ann"))[0]) == 4
        assert (await ceems.get("root-w", "units/admin", *WINDOW)).status == 200
        assert (await strict.units("ann"))[1] == []


async def test_a_shard_that_is_down_is_named(shards: Shards, tmp_path: Path) -> None:
    """As the only source, it is an error; in a list, a notice names the shard and PostgreSQL's rows are missing."""
    database = new_sharded_database(shards)
    coordinator = shards.coordinator
    users = tuple(f"user{number}" for number in range(40))  # so that both shards have rows
    west = write_site(tmp_path / "west.db", "slurm-w", admin="root-w", kwh=4, users=("ann", *users))
    await asyncio.to_thread(fed, coordinator, database, west, PARIS, site="west", user="ceems_feeder", password=FEEDER)
    north = write_site(tmp_path / "north.db", "slurm-n", admin="root-n", kwh=1.5)
    south = write_site(tmp_path / "south.db", "os-s", admin="root-s", kwh=0.25)
    url = coordinator.url(database, "ceems_reader")
    async with mixed([north, south], tmp_path, url, READER, adminRole="Admin") as (ceems, plugin):
        alone = Several(plugin, {"postgres": url, "adminRole": "Admin"}, {"postgresPassword": READER})
        units = {"queryType": "units", "admin": True, "fields": ["uuid"]}
        days = {"queryType": "usage-over-time", "admin": True}
        assert (await alone.table("x", units, MILLISECONDS, role="Admin")).num_rows == 41
        assert (await ceems.table("x", units, MILLISECONDS, role="Admin")).num_rows == 45
        lost = shards.shards["shard2"]
        lost.stop()
        try:
            sentence = "Shard 'shard2' cannot be reached, which holds a part of the rows in PostgreSQL."
            for model in (units, days, {"queryType": "stats", "admin": True}):
                answer = (await alone.query("x", {"A": model}, MILLISECONDS, role="Admin"))["A"]
                assert sentence in answer.error, model
            assert (await alone.health("x", "Viewer")).message == sentence
            missing = await ceems.query("x", {"A": units}, MILLISECONDS, role="Admin")
            frame = read_frame(missing["A"].frames[0])
            assert frame.num_rows == 4
            (notice,) = json.loads(frame.schema.metadata[b"meta"])["notices"]
            assert notice["text"] == f"Rows of source 'history' (cluster slurm-w) are missing: s{sentence[1:]}"
            assert (await ceems.health("x", "Admin")).message.startswith("2 of 3 sources answer; history does not.")
            strict = Several(plugin, {**ceems.json_data, "onSourceFailure": "error"}, ceems.secure_json)
            answer = (await strict.query("x", {"A": units}, MILLISECONDS, role="Admin"))["A"]
            assert "'history'" in answer.error
            assert "shard2" in answer.error
        finally:
            lost.start()
        async with asyncio.timeout(20):
            while (await ceems.table("x", units, MILLISECONDS, role="Admin")).num_rows != 45:
                continue
        assert (await alone.table("x", units, MILLISECONDS, role="Admin")).num_rows == 41

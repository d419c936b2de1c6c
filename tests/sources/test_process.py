"""A data source over several sources, in the real plugin process."""

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.sources.two_sites import ENERGY, MILLISECONDS, WINDOW, Several, files, write_north_and_south, write_site
from tests.support.databases import NOON
from tests.support.plugin.ceems import COMMAND, read_frame
from tests.support.plugin.process import Plugin, running
from tests.support.plugin.source import error_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def sites(tmp_path: Path) -> tuple[Path, Path]:
    return write_north_and_south(tmp_path)


def several(plugin: Plugin, sources: list[dict[str, Any]], **settings: Any) -> Several:
    """Return a data source whose timeout is long enough for a busy machine."""
    return Several(plugin, {"sources": sources, "sourceTimeout": "60s", **settings})


async def notices(ceems: Several, login: str, model: dict[str, Any]) -> list[str]:
    """Return the notices of a panel's frame."""
    answer = (await ceems.query(login, {"A": model}, MILLISECONDS))["A"]
    assert not answer.error, answer.error
    meta = json.loads(read_frame(answer.frames[0]).schema.metadata[b"meta"])
    return [notice["text"] for notice in meta.get("notices", [])]


async def test_two_sites_answer_as_one(plugin: Plugin, sites: tuple[Path, Path]) -> None:
    ceems = several(plugin, files(north=sites[0], south=sites[1]))
    assert await ceems.units("ann") == (["os-s-ann", "slurm-n-ann"], [])
    usage = await ceems.table(
        "ann", {"queryType": "usage", "groupBy": ["project"], "fields": ["username", ENERGY]}, MILLISECONDS
    )
    # Users of both sites are one row each; root-n is no user of the north.
    rows = {row["username"]: row for row in usage.to_pylist()}
    assert rows.keys() == {"ann", "bob", "root-n"}
    assert rows["ann"][f"{ENERGY}.total"] == pytest.approx(1.5 + 0.25)
    assert rows["root-n"][f"{ENERGY}.total"] == 0.25
    assert (rows["ann"][f"{ENERGY}.only_slurm-n"], rows["root-n"][f"{ENERGY}.only_slurm-n"]) == (1, None)
    health = await ceems.health()
    assert health.status == pb.CheckHealthResponse.OK
    assert [source["name"] for source in json.loads(health.jsonDetails)["sources"]] == ["north", "south"]


async def test_a_source_that_is_missing_is_named_everywhere(plugin: Plugin, sites: tuple[Path, Path]) -> None:
    gone = sites[0].parent / "gone" / "ceems.db"
    ceems = several(plugin, files(north=sites[0], south=sites[1], far_away=gone))
    uuids, warnings = await ceems.units("ann")
    assert uuids == ["os-s-ann", "slurm-n-ann"]
    (warning,) = warnings
    assert warning.startswith("Rows of source 'far-away' are missing: ")
    assert str(gone) not in warning
    for model in ({"queryType": "units"}, {"queryType": "usage"}, {"queryType": "usage-over-time"},
                  {"queryType": "stats"}, {"queryType": "projects"}):  # fmt: skip
        assert warning in await notices(ceems, "ann", model), model
    for path in ("usage/current", "usage/global", "projects", "clusters", "suggest/projects"):
        got = await ceems.get("ann", path, *WINDOW)
        assert warning in got.json.get("warnings", []), (path, got.body)
    health = await ceems.health()
    assert health.status == pb.CheckHealthResponse.ERROR
    assert health.message.startswith("2 of 3 sources answer; far-away does not.")
    states = {source["name"]: source["status"] for source in json.loads(health.jsonDetails)["sources"]}
    assert states == {"north": "ok", "south": "ok", "far-away": "error"}
    assert str(gone.parent) in health.message  # for administrators
    assert str(gone.parent) not in (await ceems.health("ann", "Viewer")).message


async def test_what_a_missing_source_cannot_hold_is_answered_without_a_notice(
    plugin: Plugin, sites: tuple[Path, Path]
) -> None:
    ceems = several(plugin, files(north=sites[0], gone=sites[0].parent / "gone.db"))
    assert await ceems.units("ann", ("cluster_id", "slurm-n")) == (["slurm-n-ann"], [])
    # Another cluster may belong to the missing source.
    answer = await ceems.get("ann", "units", *WINDOW, ("cluster_id", "os-s"))
    assert error_of(answer)[:2] == (500, "internal")
    assert "source 'gone'" in error_of(answer)[2]


async def test_a_missing_source_can_be_an_error(plugin: Plugin, sites: tuple[Path, Path]) -> None:
    gone = sites[0].parent / "gone.db"
    ceems = several(plugin, files(north=sites[0], gone=gone), onSourceFailure="error")
    status, _, message = error_of(await ceems.get("ann", "units", *WINDOW))
    assert status == 500
    assert message.startswith("Rows of source 'gone' are missing: ")
    panel = (await ceems.query("ann", {"A": {"queryType": "usage"}}, MILLISECONDS))["A"]
    assert panel.error == message
    assert await ceems.units("ann", ("cluster_id", "slurm-n")) == (["slurm-n-ann"], [])


async def test_no_source_at_all_is_an_error(plugin: Plugin, tmp_path: Path) -> None:
    ceems = several(plugin, files(one=tmp_path / "1.db", two=tmp_path / "2.db"))
    status, _, message = error_of(await ceems.get("ann", "units", *WINDOW))
    assert status == 500
    assert "'one'" in message
    assert "'two'" in message
    health = await ceems.health("ann", "Viewer")
    assert health.status == pb.CheckHealthResponse.ERROR
    assert str(tmp_path) not in health.message


async def test_the_same_cluster_in_two_sources_is_refused(plugin: Plugin, sites: tuple[Path, Path]) -> None:
    twin = sites[0].parent / "twin.db"
    shutil.copy(sites[0], twin)
    ceems = several(plugin, files(north=sites[0], south=sites[1], twin=twin))
    message = error_of(await ceems.get("ann", "units", *WINDOW))[2]
    assert message.startswith("Sources 'north' and 'twin' both hold cluster slurm-n")
    health = await ceems.health()
    assert (health.status, health.message) == (pb.CheckHealthResponse.ERROR, message)


async def test_administrators_of_a_site_administer_just_that(plugin: Plugin, sites: tuple[Path, Path]) -> None:
    ceems = several(plugin, files(north=sites[0], south=sites[1]))
    everything = {"os-s-ann", "os-s-bob", "os-s-root-n", "slurm-n-ann", "slurm-n-bob"}
    assert await ceems.units("root-n", path="units/admin") == (["slurm-n-ann", "slurm-n-bob"], [])
    assert set((await ceems.units("root-s", path="units/admin"))[0]) == everything - {"slurm-n-ann", "slurm-n-bob"}
    assert error_of(await ceems.get("ann", "units/admin", *WINDOW))[0] == 403
    # Panels ask with all rights of the viewer, so they also show the viewer's own units of other sites.
    table = await ceems.table("root-n", {"queryType": "units", "admin": "auto"}, MILLISECONDS)
    assert set(table.column("uuid").to_pylist()) == {"slurm-n-ann", "slurm-n-bob", "os-s-root-n"}
    usage = await ceems.rows("root-n", "usage/current/admin", *WINDOW)
    assert {row["cluster_id"] for row in usage} == {"slurm-n"}
    assert {row["cluster_id"] for row in await ceems.rows("root-n", "usage/global/admin")} == {"slurm-n"}
    assert {row["id"] for row in await ceems.rows("root-n", "clusters/admin")} == {"slurm-n"}
    assert {row["cluster_id"] for row in await ceems.rows("root-n", "users/admin")} == {"slurm-n"}
    assert {row["cluster_id"] for row in await ceems.rows("root-s", "projects/admin")} == {"os-s"}
    assert {row["cluster_id"] for row in await ceems.rows("root-n", "stats/current/admin", *WINDOW)} == {"slurm-n"}
    assert [row["name"] for row in await ceems.rows("root-n", "users/admin", ("role", "admin"))] == ["root-n"]
    suggested = await ceems.rows("root-s", "suggest/users", ("admin", "true"))
    assert [row["value"] for row in suggested] == ["ann", "bob", "root-n"]
    # A role of Grafana applies to the whole data source.
    by_role = several(plugin, files(north=sites[0], south=sites[1]), adminRole="Editor")
    rows = await by_role.rows("nobody", "units/admin", *WINDOW, role="Editor")
    assert {row["uuid"] for row in rows} == everything


async def test_a_source_that_is_back_is_whole_again(plugin: Plugin, sites: tuple[Path, Path]) -> None:
    """Neither usage nor rights that were looked up without a source are cached."""
    north, south = sites
    away = south.with_name("away.db")
    south.rename(away)
    ceems = several(plugin, files(north=north, south=south))
    usage = await ceems.get("ann", "usage/current", *WINDOW, ("groupby", "cluster_id"))
    assert {row["cluster_id"] for row in usage.json["data"]} == {"slurm-n"}
    assert len(usage.json["warnings"]) == 1
    refused = await ceems.get("root-s", "units/admin", *WINDOW)
    assert refused.status == 503  # only the missing source knows the rights of root-s
    verify = await ceems.get("ann", "units/verify", ("cluster_id", "os-s"), ("uuid", "os-s-ann"))
    assert verify.status == 503
    away.rename(south)
    usage = await ceems.get("ann", "usage/current", *WINDOW, ("groupby", "cluster_id"))
    assert {row["cluster_id"] for row in usage.json["data"]} == {"slurm-n", "os-s"}
    assert "warnings" not in usage.json
    assert (await ceems.get("root-s", "units/admin", *WINDOW)).status == 200
    assert (await ceems.get("ann", "units/verify", ("cluster_id", "os-s"), ("uuid", "os-s-ann"))).status == 200


async def test_a_source_that_is_locked_is_left_out_and_comes_back(plugin: Plugin, sites: tuple[Path, Path]) -> None:
    north, south = sites
    with closing(sqlite3.connect(south, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
        writer.execute("BEGIN EXCLUSIVE")
        ceems = several(plugin, files(north=north, south=south), sourceTimeout="3s")
        uuids, warnings = await ceems.units("ann")
        assert (uuids, len(warnings)) == (["slurm-n-ann"], 1)
        assert "did not answer within 3 s" in warnings[0]
        # Nobody waits for the source again while it is checked in the background.
        answers = await asyncio.gather(*(ceems.units("ann") for _ in range(8)))
        assert all(answer == (uuids, warnings) for answer in answers)
        writer.execute("ROLLBACK")
    async with asyncio.timeout(60):
        while (await ceems.units("ann"))[1]:
            continue
    assert (await ceems.units("ann"))[0] == ["os-s-ann", "slurm-n-ann"]


async def test_each_source_has_its_own_zone(plugin: Plugin, sites: tuple[Path, Path]) -> None:
    """Both have the same local times as texts; in Tokyo's zone they are seven hours earlier."""
    north, south = sites
    two = files(north=north, south=south)
    two[1]["timezone"] = "Asia/Tokyo"
    two[0]["timezone"] = "Europe/Paris"
    ceems = several(plugin, two)
    rows = await ceems.rows("ann", "usage/current", *WINDOW)
    assert {row["cluster_id"] for row in rows} == {"slurm-n"}
    early = (("from", str(NOON - 7 * 3600 - 3600)), ("to", str(NOON - 7 * 3600 + 3600)))
    assert {row["cluster_id"] for row in await ceems.rows("ann", "usage/current", *early)} == {"os-s"}
    rows = await ceems.rows("ann", "units", *WINDOW, ("timezone", "UTC"))
    assert all(row["ended_at"].endswith("+0000") for row in rows)
    assert len(rows) == 2


WRONG = (
    ([{"path": "/a.db"}], "Source 1 has no name"),
    ([{"name": "a b", "path": "/a.db"}], "cannot be the name of a source"),
    ([{"name": "a", "path": "/a.db"}, {"name": "A", "path": "/b.db"}], "Two sources have the name 'A'"),
    ([{"name": "a"}], "needs one of path, address and postgres"),
    ([{"name": "a", "path": "/a.db", "address": "b:1"}], "it has path and address"),
    ([{"name": "a", "address": "host"}], "'host' is not a server address"),
    ([{"name": "a", "address": "host:9443", "plainText": True}], "Plain text is allowed only for this host"),
    ([{"name": "a", "address": "host:9443", "timezone": "UTC"}], "only a file can have a timezone"),
    ([{"name": "a", "postgres": "mysql://host/db"}], "postgresql://user@host:5432/database"),
    ([{"name": "a", "postgres": "postgresql://me:secret@host/db"}], "set it in the secret a.postgresPassword"),
    ([{"name": "a", "path": "/a.db", "timezone": "Mars"}], "Source 'a': Unknown time zone 'Mars'"),
)


@pytest.mark.parametrize(("sources", "words"), WRONG, ids=lambda value: str(value)[:50])
async def test_wrong_sources_are_told(plugin: Plugin, sources: list[dict[str, Any]], words: str) -> None:
    ceems = several(plugin, sources)
    health = await ceems.health()
    assert health.status == pb.CheckHealthResponse.ERROR
    assert words in health.message
    assert "me:secret" not in health.message
    assert (await ceems.get("ann", "units", *WINDOW)).status == 400


async def test_a_path_beside_a_list_is_refused(plugin: Plugin, sites: tuple[Path, Path]) -> None:
    health = await several(plugin, files(north=sites[0]), path=str(sites[1])).health()
    assert "The settings have path and sources" in health.message


async def test_each_file_must_be_allowed(sites: tuple[Path, Path], tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    inside = write_site(allowed / "ceems.db", "slurm-n", admin="root", kwh=1)
    async with running(COMMAND, environment={"GF_PLUGIN_ALLOWED_PATHS": str(allowed)}) as plugin:
        assert (await several(plugin, files(inside=inside)).units("ann"))[0] == ["slurm-n-ann"]
        health = await several(plugin, files(inside=inside, outside=sites[1])).health()
        assert "Source 'outside': The path of the database is not among" in health.message

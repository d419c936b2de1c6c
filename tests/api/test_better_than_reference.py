"""Cases in which the reference server is wrong and this project is not; each test says what the reference answers."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import DAY, NOON, TIMES, SiteDatabase
from tests.support.plugin.ceems import read_frame
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import Source, error_of, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

AROUND_NOON = (("from", NOON - 3600), ("to", NOON + 3600))


def write(path: Path) -> SiteDatabase:
    return SiteDatabase(path / "ceems.db")


def uuids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["uuid"] for row in rows]


async def test_membership_counts_per_cluster_and_project(plugin: Plugin, tmp_path: Path) -> None:
    # Reference: compares project names only, so a member of alpha on slurm-0 saw alpha on os-0, of other people.
    with write(tmp_path) as site:
        site.project("alpha", ["ann"])
        site.project("alpha", ["dan"], cluster="os-0")
        for user, cluster in (("ann", "slurm-0"), ("dan", "os-0")):
            site.unit(f"of-{user}", user, "alpha", NOON, cluster=cluster)
            site.usage(user, "alpha", NOON, cluster=cluster)
            site.usage(user, "alpha", NOON // DAY * DAY, cluster=cluster, daily=True)
        ceems = source(plugin, site.path)
        whole_day = (("from", NOON - DAY), ("to", NOON), ("experimental", ""))
        for question in (("usage/current", *AROUND_NOON), ("usage/global",), ("usage/current", *whole_day)):
            path, *query = question
            assert [row["username"] for row in await ceems.rows("ann", str(path), *query)] == ["ann"], path
        assert [row["cluster_id"] for row in await ceems.rows("ann", "projects")] == ["slurm-0"]
        both = (("cluster_id", "slurm-0"), ("cluster_id", "os-0"))
        assert (await ceems.get("ann", "units/verify", ("uuid", "of-ann"), *both)).status == 200
        assert (await ceems.get("ann", "units/verify", ("uuid", "of-dan"), *both)).status == 403


async def test_a_service_account_counts_only_for_members_of_its_project(plugin: Plugin, tmp_path: Path) -> None:
    # Reference: whoever named a project got the units and the usage of its service account.
    with write(tmp_path) as site:
        site.project("alpha", ["ann"])
        site.project("gamma", ["alpha:svc"])
        site.project("beta", ["cat"])
        site.unit("service", "alpha:svc", "alpha", NOON)
        site.unit("secret", "alpha:svc", "gamma", NOON)
        site.usage("alpha:svc", "gamma", NOON)
        ceems = source(plugin, site.path)
        named = (*AROUND_NOON, ("project", "alpha"))
        assert uuids(await ceems.rows("ann", "units", *named)) == ["service"]
        assert uuids(await ceems.rows("ann", "units", ("uuid", "service"), ("project", "alpha"))) == ["service"]
        assert await ceems.rows("cat", "units", *named) == []
        assert await ceems.rows("cat", "units", ("uuid", "service"), ("project", "alpha")) == []
        for path in ("usage/current", "usage/global"):
            wanted = (*AROUND_NOON, ("project", "alpha"), ("project", "gamma"))
            assert "gamma" not in {row["project"] for row in await ceems.rows("cat", path, *wanted)}, path
        assert uuids(await ceems.rows("ann", "units", *AROUND_NOON)) == []


async def test_a_service_account_counts_only_on_the_clusters_of_the_membership(plugin: Plugin, tmp_path: Path) -> None:
    # Reference: alpha:svc of any cluster counted for whoever named alpha.
    with write(tmp_path) as site:
        site.project("alpha", ["ann"])
        site.project("alpha", ["dan"], cluster="os-0")
        site.unit("here", "alpha:svc", "alpha", NOON)
        site.unit("there", "alpha:svc", "alpha", NOON, cluster="os-0")
        ceems = source(plugin, site.path)
        assert uuids(await ceems.rows("ann", "units", *AROUND_NOON, ("project", "alpha"))) == ["here"]


@pytest.mark.parametrize("name", ["state", "uuid", "1", "cluster_id, state", "username) --", "Cluster_id", "num_units"])
async def test_groupby_takes_only_the_listed_names(plugin: Plugin, tmp_path: Path, name: str) -> None:
    # Reference: put the text into its SQL, so that any column or expression went through.
    with write(tmp_path) as site:
        site.project("alpha", ["ann"])
        site.admin("root")
        site.unit("1", "ann", "alpha", NOON)
        ceems = source(plugin, site.path)
        for login, path in (("ann", "usage/current"), ("root", "usage/current/admin")):
            answer = await ceems.get(login, path, *AROUND_NOON, ("groupby", "cluster_id"), ("groupby", name))
            assert error_of(answer)[:2] == (400, "bad_data")
        for good in ("cluster_id", "resource_manager", "project", "groupname", "username"):
            assert len(await ceems.rows("ann", "usage/current", *AROUND_NOON, ("groupby", good))) == 1


@pytest.mark.parametrize("source_of_rows", [(), (("experimental", ""),)])
async def test_plain_columns_alone_answer_rows(
    plugin: Plugin, tmp_path: Path, source_of_rows: tuple[tuple[str, str], ...]
) -> None:
    # Reference: without a metric among the fields there was no row at all.
    with write(tmp_path) as site:
        site.project("alpha", ["ann"])
        site.unit("1", "ann", "alpha", NOON)
        site.unit("2", "ann", "alpha", NOON + 1)
        site.usage("ann", "alpha", NOON // DAY * DAY, daily=True, num_units=2)
        ceems = source(plugin, site.path)
        fields = (("field", "num_units"), ("field", "username"))
        window = (("from", NOON // DAY * DAY), ("to", NOON + 3600))
        rows = await ceems.rows("ann", "usage/current", *window, *fields, *source_of_rows)
        assert [(row["username"], row["num_units"]) for row in rows] == [("ann", 2)]
        rows = await ceems.rows("ann", "usage/current", *window, ("field", "project"), *source_of_rows)
        assert [row["project"] for row in rows] == ["alpha"]


async def test_a_group_that_spans_clusters_shows_the_first(plugin: Plugin, tmp_path: Path) -> None:
    # Reference: SQLite picked the cluster and the resource manager of any row of the group (here: the last one).
    with write(tmp_path) as site:
        clusters = ("slurm-9", "k8s-0", "slurm-1", "os-5")
        for cluster in clusters:
            site.project("alpha", ["ann"], cluster=cluster)
            site.unit(f"on-{cluster}", "ann", "alpha", NOON, cluster=cluster)
        ceems = source(plugin, site.path)
        rows = await ceems.rows("ann", "usage/current", *AROUND_NOON)
        assert [(row["cluster_id"], row["resource_manager"], row["num_units"]) for row in rows] == [("k8s-0", "k8s", 4)]
        two = (("cluster_id", "slurm-9"), ("cluster_id", "os-5"))
        rows = await ceems.rows("ann", "usage/current", *AROUND_NOON, *two)
        assert [(row["cluster_id"], row["resource_manager"]) for row in rows] == [("os-5", "openstack")]
        rows = await ceems.rows("ann", "usage/current", *AROUND_NOON, ("groupby", "cluster_id"))
        assert [row["cluster_id"] for row in rows] == sorted(clusters)


SUMMER_ENDS = 1_761_440_400  # 2025-10-26T01:00:00Z: 03:00 becomes 02:00 in Paris


async def test_windows_are_instants_in_the_hour_that_repeats(plugin: Plugin, tmp_path: Path) -> None:
    # Reference: compared local texts. 02:20 is then both before and after the change: a window of the first 02:xx
    # also counted the second's units, and a window over the change (02:45 to 02:15 in texts) counted none.
    with write(tmp_path) as site:
        site.project("alpha", ["ann"])
        early, late = SUMMER_ENDS - 2400, SUMMER_ENDS + 1200  # both 02:20 in Paris
        site.unit("summer", "ann", "alpha", early, total_cpu_energy_usage_kwh={"total": 1})
        site.unit("winter", "ann", "alpha", late, total_cpu_energy_usage_kwh={"total": 100})
        ceems = source(plugin, site.path, timezone="Europe/Paris")

        async def energy(start: int, end: int) -> float:
            rows = await ceems.rows("ann", "usage/current", ("from", start), ("to", end))
            return float(sum(row["total_cpu_energy_usage_kwh"]["total"] for row in rows))

        assert await energy(SUMMER_ENDS - 3600, SUMMER_ENDS - 900) == 1
        assert await energy(SUMMER_ENDS, SUMMER_ENDS + 3600) == 100
        assert await energy(SUMMER_ENDS - 900, SUMMER_ENDS + 1800) == 100
        assert await energy(SUMMER_ENDS - 7200, SUMMER_ENDS + 7200) == 101


async def test_an_admin_who_names_a_project_and_no_user_gets_the_project(plugin: Plugin, tmp_path: Path) -> None:
    # Reference: queried the units of the project's service account only, and returned nothing.
    with write(tmp_path) as site:
        site.admin("root")
        site.project("alpha", ["ann", "bob"])
        site.project("beta", ["cat"])
        for user, project in (("ann", "alpha"), ("bob", "alpha"), ("cat", "beta")):
            site.unit(f"of-{user}", user, project, NOON)
            site.usage(user, project, NOON)
        ceems = source(plugin, site.path)
        named = (*AROUND_NOON, ("project", "alpha"))
        assert uuids(await ceems.rows("root", "units/admin", *named)) == ["of-ann", "of-bob"]
        for path in ("usage/current/admin", "usage/global/admin"):
            assert [row["username"] for row in await ceems.rows("root", path, *named)] == ["ann", "bob"], path


async def test_a_window_with_one_end_is_as_the_page_says(plugin: Plugin, tmp_path: Path) -> None:
    # Reference: units and stats with only `from` ended 24 h later; usage with only `to` started 24 h before now.
    now = int(time.time())
    with write(tmp_path) as site:
        site.admin("root")
        site.project("alpha", ["ann"])
        for days in (1, 3, 8, 30):
            site.unit(f"{days}-days-ago", "ann", "alpha", now - days * DAY - 60)
        ceems = source(plugin, site.path)
        since = ("from", now - 5 * DAY)
        assert uuids(await ceems.rows("ann", "units", since)) == ["1-days-ago", "3-days-ago"]
        assert (await ceems.rows("ann", "usage/current", since))[0]["num_units"] == 2
        assert (await ceems.rows("root", "stats/current/admin", since))[0]["num_units"] == 2
        until = ("to", now - 30 * DAY)
        assert uuids(await ceems.rows("ann", "units", until)) == ["30-days-ago"]
        assert (await ceems.rows("ann", "usage/current", until))[0]["num_units"] == 1
        assert (await ceems.rows("root", "stats/current/admin", until))[0]["num_units"] == 1
        site.unit("now", "ann", "alpha", now - 3600)
        assert uuids(await ceems.rows("ann", "units")) == ["now"]


async def test_a_mean_leaves_out_weights_of_units_without_a_value(plugin: Plugin, tmp_path: Path) -> None:
    # Reference: divided by the weights of all units: (80*100 + 20*300) / (100 + 300 + 600) = 14.
    with write(tmp_path) as site:
        site.project("alpha", ["ann"])
        for uuid, seconds, usage in (("1", 100, {"global": 80}), ("2", 300, {"global": 20}), ("3", 600, {})):
            times = {**TIMES, "alloc_cputime": seconds}
            site.unit(uuid, "ann", "alpha", NOON, total_time_seconds=times, avg_cpu_usage=usage)
        ceems = source(plugin, site.path)
        (row,) = await ceems.rows("ann", "usage/current", *AROUND_NOON)
        assert row["avg_cpu_usage"] == {"global": 35}
        assert row["total_time_seconds"]["alloc_cputime"] == 1000


async def test_experimental_finds_its_metric_keys_in_daily_usage(plugin: Plugin, tmp_path: Path) -> None:
    # Reference: took the keys from the units of the window, so that a provider that only daily_usage has was missing.
    midnight = NOON // DAY * DAY
    with write(tmp_path) as site:
        site.project("alpha", ["ann"])
        site.unit("1", "ann", "alpha", NOON, total_cpu_emissions_gms={"rte_total": 1})
        emissions = {"rte_total": 1, "only_here_total": 2.5}
        site.usage("ann", "alpha", midnight, daily=True, total_cpu_emissions_gms=emissions)
        site.usage("ann", "alpha", midnight - DAY, daily=True, total_cpu_emissions_gms={"earlier_total": 4})
        ceems = source(plugin, site.path, timezone="Europe/Paris")
        window = (("from", midnight - DAY), ("to", midnight + DAY - 1))
        (row,) = await ceems.rows("ann", "usage/current", *window, ("experimental", ""))
        assert row["total_cpu_emissions_gms"] == {"earlier_total": 4, "only_here_total": 2.5, "rte_total": 1}


async def test_a_uuid_asked_twice_in_verify_counts_once(plugin: Plugin, tmp_path: Path) -> None:
    # Reference: compared the number of rows found with the number of uuids asked, and refused (403).
    with write(tmp_path) as site:
        site.project("alpha", ["ann"])
        site.unit("1", "ann", "alpha", NOON)
        site.unit("requeued", "ann", "alpha", NOON, started=NOON - 500)
        site.unit("requeued", "ann", "alpha", NOON, started=NOON - 100)
        ceems = source(plugin, site.path)
        here = ("cluster_id", "slurm-0")
        answer = await ceems.get("ann", "units/verify", here, ("uuid", "1"), ("uuid", "1"), ("uuid", "requeued"))
        assert answer.status == 200
        assert answer.json["status"] == "success"


async def test_nothing_is_cut_silently(plugin: Plugin, tmp_path: Path) -> None:
    # Reference: an answer that the limit cut looked complete.
    with write(tmp_path) as site:
        site.admin("root")
        for number in range(5):
            user = f"user{number}"
            site.project(f"p{number}", [user])
            site.user(user, [f"p{number}"])
            site.unit(str(number), user, f"p{number}", NOON, cluster=f"slurm-{number}")
            site.usage(user, f"p{number}", NOON)
        few, all_ = source(plugin, site.path, rowLimit=3), source(plugin, site.path, rowLimit=5)
        for path in (
            "units/admin", "usage/current/admin", "usage/global/admin", "users/admin", "projects/admin",
            "clusters/admin", "stats/global/admin", "stats/current/admin",
        ):  # fmt: skip
            body = (await few.get("root", path, *AROUND_NOON)).json
            assert len(body["data"]) == 3, path
            assert [text for text in body["warnings"] if "first 3 " in text], path
            body = (await all_.get("root", path, *AROUND_NOON)).json
            assert len(body["data"]) == 5, path
            assert "warnings" not in body, path
        body = (await few.get("root", "suggest/users", ("limit", 2))).json
        assert len(body["data"]) == 2
        assert "first 2 " in body["warnings"][0]
        await _frames_say_so_too(few)


async def _frames_say_so_too(few: Source) -> None:
    kinds = ("units", "usage", "stats", "users", "projects", "clusters")
    models = {kind: {"queryType": kind, "admin": True} for kind in kinds}
    answers = await few.query("root", models, ((NOON - 3600) * 1000, (NOON + 3600) * 1000))
    for kind, answer in answers.items():
        assert not answer.error, answer.error
        table = read_frame(answer.frames[0])
        assert table.num_rows == 3, kind
        assert b"first 3 " in table.schema.metadata[b"meta"], kind

"""Rules that the rows of a demo database satisfy for every seed, size and zone."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceems_grpc.demo.database import DemoSummary, write_demo_database
from ceems_grpc.demo.emissions import FACTOR_RANGES
from ceems_grpc.demo.schema import METRIC_COLUMNS
from tests.support.ceems_schema import create_schema

ZONE = "Europe/Paris"
# Five days after the end of summer time, so that the window contains the hour that repeats.
NOW = datetime(2026, 10, 30, 11, 20, 5, tzinfo=UTC)
CLUSTERS = {
    "slurm-cpu": "slurm",
    "slurm-gpu": "slurm",
    "openstack-0": "openstack",
    "k8s-0": "k8s",
    "lsf-0": "lsf",
}
BATCH = {"slurm", "lsf"}
MEANS = {
    "avg_cpu_usage": "alloc_cputime",
    "avg_cpu_mem_usage": "alloc_cpumemtime",
    "avg_gpu_usage": "alloc_gputime",
    "avg_gpu_mem_usage": "alloc_gpumemtime",
}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> DemoSummary:
    path = tmp_path_factory.mktemp("demo") / "ceems.db"
    return write_demo_database(path, seed=7, now=NOW, days=30, units=4000, users=30, zone=ZONE)


@pytest.fixture(scope="module")
def units(written: DemoSummary) -> list[Row]:
    return read(written.path, "units")


def test_file_is_whole_and_in_wal_mode_without_leftovers(written: DemoSummary) -> None:
    assert [entry.name for entry in written.path.parent.iterdir()] == ["ceems.db"]
    with closing(sqlite3.connect(f"file:{written.path}?immutable=1", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    # Bytes 18 and 19 are the write and read versions of the file format: 2 is WAL.
    assert written.path.read_bytes()[18:20] == b"\x02\x02"


def test_schema_is_version_9(written: DemoSummary) -> None:
    with closing(sqlite3.connect(written.path)) as ours, closing(sqlite3.connect(":memory:")) as fresh:
        create_schema(fresh)
        query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
        assert ours.execute(query).fetchall() == fresh.execute(query).fetchall()
    assert read(written.path, "schema_migrations") == [{"version": 9, "dirty": 0}]


def test_summary_counts_what_is_there(written: DemoSummary, units: list[Row]) -> None:
    assert written.units == len(units) == 4000
    assert written.running == sum(unit["ended_at_ts"] == 0 for unit in units)
    assert written.daily_rows == len(read(written.path, "daily_usage"))
    assert written.clusters == tuple(CLUSTERS)
    assert written.users == len({row["name"] for row in read(written.path, "users")})
    assert written.projects == len({row["name"] for row in read(written.path, "projects")})
    assert 0 <= (NOW - written.updated).total_seconds() < 900


def test_times_are_ordered_and_texts_name_the_same_instants(written: DemoSummary, units: list[Row]) -> None:
    last = written.updated.timestamp() * 1000
    first = last - 30 * 86_400_000
    for unit in units:
        created, started, ended = (unit[f"{event}_at_ts"] for event in ("created", "started", "ended"))
        updated = updated_at(unit).timestamp() * 1000
        if started:
            assert created <= started <= last
            assert first <= started
        if ended:
            assert started < ended <= updated
        assert created <= updated <= last
        for event, stamp in (("created", created), ("started", started), ("ended", ended)):
            text = unit[f"{event}_at"]
            if stamp:
                moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
                assert moment.timestamp() * 1000 == stamp
                assert moment.utcoffset() == moment.astimezone(ZoneInfo(ZONE)).utcoffset()
            else:
                assert text == ("Unknown" if unit["resource_manager"] == "slurm" else "N/A")
    offsets = {unit["started_at"][-5:] for unit in units if unit["started_at_ts"]}
    assert offsets == {"+0200", "+0100"}
    repeated = [unit for unit in units if unit["started_at"].startswith("2026-10-25T02")]
    assert {unit["started_at"][-5:] for unit in repeated} == {"+0200", "+0100"}


def test_elapsed_is_the_time_since_the_start(written: DemoSummary, units: list[Row]) -> None:
    for unit in units:
        if not unit["started_at_ts"]:
            assert unit["elapsed"] == "N/A"
            continue
        begin = unit["created_at_ts" if unit["resource_manager"] == "k8s" else "started_at_ts"]
        end = unit["ended_at_ts"] or written.updated.timestamp() * 1000
        days, _, clock = unit["elapsed"].rpartition("-")
        hours, minutes, seconds = map(int, clock.split(":"))
        assert int(days or 0) * 86_400 + hours * 3600 + minutes * 60 + seconds == (end - begin) // 1000


def test_running_units_are_on_every_cluster_and_freshly_updated(written: DemoSummary, units: list[Row]) -> None:
    running = [unit for unit in units if unit["ended_at_ts"] == 0]
    assert {unit["cluster_id"] for unit in running} == set(CLUSTERS)
    assert {updated_at(unit) for unit in running} == {written.updated}


def test_grafanas_initial_user_runs_something_everywhere(written: DemoSummary, units: list[Row]) -> None:
    own = {unit["cluster_id"] for unit in units if unit["username"] == "admin" and unit["ended_at_ts"] == 0}
    assert own == set(written.clusters)


def test_states_are_those_of_the_resource_manager(units: list[Row]) -> None:
    ended = {
        "slurm": r"COMPLETED|FAILED|TIMEOUT|OUT_OF_MEMORY|NODE_FAIL|CANCELLED by \d+",
        "openstack": "DELETED|SOFT_DELETED",
        "k8s": "Succeeded|Failed",
        "lsf": "DONE|EXIT",
    }
    alive = {
        "slurm": "RUNNING",
        "openstack": "ACTIVE|SHUTOFF|SUSPENDED|PAUSED|SHELVED_OFFLOADED",
        "k8s": "Running/Ready|Running/ContainersNotReady|Pending",
        "lsf": "RUN|PEND",
    }
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for unit in units:
        manager = unit["resource_manager"]
        assert CLUSTERS[unit["cluster_id"]] == manager
        assert re.fullmatch((ended if unit["ended_at_ts"] else alive)[manager], unit["state"])
        seen[manager].add(unit["state"].split(" by ")[0])
    assert {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "RUNNING"} <= seen["slurm"]
    assert {"Succeeded", "Failed", "Pending"} <= seen["k8s"]
    assert {"DELETED", "ACTIVE"} <= seen["openstack"]
    assert seen["lsf"] == {"DONE", "EXIT", "RUN", "PEND"}


def test_lsf_has_job_arrays_and_queues(units: list[Row]) -> None:
    jobs = [unit for unit in units if unit["resource_manager"] == "lsf"]
    assert all(re.fullmatch(r"\d+(\[\d+\])?", job["uuid"]) for job in jobs)
    assert len({job["uuid"] for job in jobs}) == len(jobs)
    arrays: defaultdict[str, list[Row]] = defaultdict(list)
    for job in jobs:
        number, _, index = job["uuid"].partition("[")
        if index:
            arrays[number].append(job)
    assert max(map(len, arrays.values())) > 1
    for elements in arrays.values():
        assert len({(job["username"], job["project"], job["name"]) for job in elements}) == 1
        indexes = [int(job["uuid"].rstrip("]").partition("[")[2]) for job in elements]
        assert sorted(indexes) == list(range(1, len(elements) + 1))
    assert {json.loads(job["tags"])["queue"] for job in jobs} == {"normal", "short", "gpu"}
    (waits,) = (job for job in jobs if job["state"] == "PEND")
    assert (json.loads(waits["tags"])["exec_host"], waits["started_at_ts"]) == ("-", 0)


def test_allocation_and_tags_have_the_fields_of_the_resource_manager(units: list[Row]) -> None:
    allocations = {
        "slurm": {"billing", "cpus", "gpus", "mem", "nodes"},
        "openstack": {"disk", "extra_specs", "mem", "name", "swap", "vcpus"},
        "k8s": {"mem", "vcpus"},
        "lsf": {"cpus", "gpus", "mem", "nodes"},
    }
    tags = {
        "slurm": {"exit_code", "gid", "nodelist", "nodelistexp", "partition", "qos", "uid", "workdir"},
        "openstack": {"az", "metadata", "power_state", "reservation_id", "tags"},
        "k8s": {"annotations", "labels", "qos"},
        "lsf": {"exec_host", "exit_code", "gid", "nodelistexp", "queue", "uid", "workdir"},
    }
    for unit in units:
        manager = unit["resource_manager"]
        allocation, held = json.loads(unit["allocation"]), json.loads(unit["tags"])
        assert allocation.keys() - {"vgpus", "nvidia.com/gpu"} == allocations[manager]
        assert held.keys() == tags[manager]
        assert list(allocation) == sorted(allocation)  # as Go writes maps
        assert list(held) == sorted(held)
        if manager in BATCH and unit["started_at_ts"]:
            assert len(held["nodelistexp"].split("|")) == allocation["nodes"]
    assert any("vgpus" in unit["allocation"] for unit in units)
    assert any("nvidia.com/gpu" in unit["allocation"] for unit in units)


def test_metric_maps_parse_and_are_plausible(units: list[Row]) -> None:
    low = {key: factors[0] for key, factors in FACTOR_RANGES.items()}
    high = {key: factors[1] for key, factors in FACTOR_RANGES.items()}
    for unit in units:
        metrics = {column: json.loads(unit[column]) or {} for column in METRIC_COLUMNS}
        for column, values in metrics.items():
            assert list(values) == sorted(values)
            for key, value in values.items():
                assert re.fullmatch(r"\d+(\.\d{8})?", re.findall(rf'"{key}":([^,}}]+)', unit[column])[0])
                assert value >= 0
        times = metrics["total_time_seconds"]
        if unit["ended_at_ts"]:
            assert times["walltime"] <= (unit["ended_at_ts"] - unit["started_at_ts"]) / 1000
        for column in MEANS:
            assert all(0 <= value <= 100 for value in metrics[column].values())
        for part, time, least, most in (("cpu", "alloc_cputime", 1.4, 8.1), ("gpu", "alloc_gputime", 44, 401)):
            energy = metrics[f"total_{part}_energy_usage_kwh"].get("total", 0.0)
            if energy > 0.001:
                assert least < energy * 3.6e6 / times[time] < most
            for provider, grams in metrics[f"total_{part}_emissions_gms"].items():
                assert low[provider] * energy - 1e-6 <= grams <= high[provider] * energy + 1e-6
    assert any(unit["avg_cpu_usage"] == "null" for unit in units)
    assert any(unit["avg_gpu_usage"] == "{}" for unit in units)


def test_units_without_measurements_are_fresh_or_very_short(written: DemoSummary, units: list[Row]) -> None:
    last = written.updated.timestamp() * 1000
    bare = [unit for unit in units if not json.loads(unit["avg_cpu_usage"])]
    assert bare
    for unit in bare:
        if unit["ended_at_ts"]:
            assert unit["ended_at_ts"] - unit["started_at_ts"] < 20_000
        elif unit["started_at_ts"]:
            assert last - unit["started_at_ts"] < 1_800_000
    assert {unit["cluster_id"] for unit in bare} == set(CLUSTERS)


def test_providers_differ_by_cluster(units: list[Row]) -> None:
    providers: defaultdict[str, set[str]] = defaultdict(set)
    for unit in units:
        providers[unit["cluster_id"]] |= (json.loads(unit["total_cpu_emissions_gms"]) or {}).keys()
    common = {"emaps_total", "owid_total", "rte_total"}
    assert all(common <= keys for keys in providers.values())
    assert [cluster for cluster, keys in providers.items() if "wt_total" in keys] == ["openstack-0"]


def test_traffic_is_measured_where_the_exporter_sees_it(units: list[Row]) -> None:
    measured: defaultdict[str, set[str]] = defaultdict(set)
    for unit in units:
        measured[unit["cluster_id"]] |= {
            column for column in METRIC_COLUMNS[-4:] if (json.loads(unit[column]) or {}).get("bytes")
        }
    everything = set(METRIC_COLUMNS[-4:])
    network = {"total_ingress_stats", "total_egress_stats"}
    assert measured == {cluster: network if cluster == "openstack-0" else everything for cluster in CLUSTERS}


def test_some_units_waste_what_they_hold(units: list[Row]) -> None:
    usage = [json.loads(unit["avg_cpu_usage"]) for unit in units]
    low = sum(1 for values in usage if values and values["global"] < 2)
    assert 0.01 < low / len(units) < 0.3


def test_activity_has_a_rhythm_and_heavy_users(units: list[Row]) -> None:
    batch = [datetime.fromisoformat(unit["started_at"]) for unit in units if unit["resource_manager"] == "slurm"]
    day = sum(10 <= moment.hour < 18 for moment in batch)
    night = sum(moment.hour < 6 or moment.hour >= 22 for moment in batch)
    assert day > 1.5 * night
    weekend = sum(moment.weekday() >= 5 for moment in batch) / len(batch)
    assert 0.05 < weekend < 0.25
    by_user: defaultdict[str, int] = defaultdict(int)
    for unit in units:
        by_user[unit["username"]] += 1
    counts = sorted(by_user.values(), reverse=True)
    assert sum(counts[:5]) > 0.35 * len(units)


def test_members_cover_every_unit_and_differ_by_cluster(written: DemoSummary, units: list[Row]) -> None:
    members = {
        (row["cluster_id"], row["name"], user)
        for row in read(written.path, "projects")
        for user in json.loads(row["users"])
    }
    listed = {
        (row["cluster_id"], project, row["name"])
        for row in read(written.path, "users")
        for project in json.loads(row["projects"])
    }
    assert members == listed
    assert {(unit["cluster_id"], unit["project"], unit["username"]) for unit in units} <= members
    by_cluster = [{pair[1:] for pair in members if pair[0] == cluster} for cluster in CLUSTERS]
    assert all(one != other for one, other in pairwise(by_cluster))
    services = {(project, user) for cluster, project, user in members if user.endswith(":svc")}
    assert services
    assert all(user == f"{project}:svc" for project, user in services)
    assert any(unit["username"].endswith(":svc") for unit in units)


def test_admins(written: DemoSummary) -> None:
    rows = read(written.path, "admin_users")
    assert {"admin", "grafana"} <= {row["name"] for row in rows}
    assert {(row["cluster_id"], row["projects"], row["tags"]) for row in rows} == {("all", "[]", '["ceems"]')}


def test_requeued_jobs_share_a_number(units: list[Row]) -> None:
    runs: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for unit in units:
        runs[unit["cluster_id"], unit["uuid"]].append(unit)
    again = [rows for rows in runs.values() if len(rows) > 1]
    assert again
    for rows in again:
        assert len({(row["username"], row["project"], row["name"], row["created_at"]) for row in rows}) == 1
        for earlier, later in pairwise(rows):
            assert earlier["state"] == "NODE_FAIL"
            assert earlier["ended_at_ts"] < later["started_at_ts"]


def test_short_units_are_ignored(units: list[Row]) -> None:
    for unit in units:
        short = bool(unit["ended_at_ts"]) and unit["ended_at_ts"] - unit["started_at_ts"] < 60_000
        assert unit["ignore"] == short
    assert any(unit["ignore"] for unit in units)


def test_times_are_the_allocation_times_walltime(written: DemoSummary, units: list[Row]) -> None:
    for unit in units:
        allocation, times = json.loads(unit["allocation"]), json.loads(unit["total_time_seconds"])
        walltime, manager = times["walltime"], unit["resource_manager"]
        gpus = sum(allocation.get(key, 0) for key in ("gpus", "vgpus", "nvidia.com/gpu"))
        # Batch systems count memory in MiB, while the allocation has bytes; they count a GPU's memory once for all
        # GPUs.
        memory = allocation["mem"] / 2**20 if manager in BATCH else allocation["mem"]
        assert times == pytest.approx(
            {
                "walltime": walltime,
                "alloc_cputime": walltime * allocation.get("cpus", allocation.get("vcpus")),
                "alloc_cpumemtime": walltime * memory,
                "alloc_gputime": walltime * gpus,
                "alloc_gpumemtime": walltime * (min(gpus, 1) if manager in BATCH else gpus),
            },
            rel=1e-9,
            abs=1e-8,
        )
        if manager in BATCH and unit["started_at_ts"]:
            end = unit["ended_at_ts"] or written.updated.timestamp() * 1000
            assert walltime == (end - unit["started_at_ts"]) / 1000


def test_updates_are_every_15_minutes_and_counted(written: DemoSummary, units: list[Row]) -> None:
    for unit in units:
        assert (written.updated - updated_at(unit)).total_seconds() % 900 == 0
        seen = updated_at(unit).timestamp() - (unit["started_at_ts"] or unit["created_at_ts"]) / 1000
        assert unit["num_updates"] == seen // 900 + 1


def test_daily_usage_adds_up_the_units(written: DemoSummary, units: list[Row]) -> None:
    rows = read(written.path, "daily_usage")
    for row in rows:
        assert local_instant(row["last_updated_at"]).strftime("%H:%M:%S") == "00:00:00"
    check_days(rows, units)


def test_usage_adds_up_the_units(written: DemoSummary, units: list[Row]) -> None:
    rows = read(written.path, "usage")
    check_totals(rows, units, owner)
    latest: dict[tuple[str, ...], str] = {}
    for unit in sorted(units, key=updated_at):
        latest[owner(unit)] = unit["last_updated_at"]
    assert {owner(row): row["last_updated_at"] for row in rows} == latest


@pytest.mark.parametrize("size", range(2001, 2013))
def test_days_are_whole_when_a_batch_ends_among_the_last_units(tmp_path: Path, size: int) -> None:
    after_midnight = datetime(2026, 10, 30, 1, 20, tzinfo=UTC)
    summary = write_demo_database(tmp_path / "a.db", now=after_midnight, days=3, units=size)
    assert len(read(summary.path, "units")) == size
    check_days(read(summary.path, "daily_usage"), read(summary.path, "units"))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    now=st.integers(1_577_836_800, 2_051_222_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    days=st.integers(1, 12),
    size=st.integers(20, 150),
    users=st.integers(3, 90),
    zone=st.sampled_from(("Europe/Paris", "UTC", "America/St_Johns", "Australia/Lord_Howe")),
)
def test_small_databases_keep_the_main_rules(
    *, seed: int, now: datetime, days: int, size: int, users: int, zone: str
) -> None:
    with TemporaryDirectory() as folder:
        summary = write_demo_database(
            Path(folder) / "a.db", seed=seed, now=now, days=days, units=size, users=users, zone=zone
        )
        units = read(summary.path, "units")
        assert len(units) == size
        assert {unit["cluster_id"] for unit in units if not unit["ended_at_ts"]} == set(CLUSTERS)
        assert max(max(unit["started_at_ts"], unit["ended_at_ts"]) for unit in units) <= now.timestamp() * 1000
        for unit in units:
            assert not unit["started_at_ts"] or unit["created_at_ts"] <= unit["started_at_ts"]
            moment = datetime.strptime(unit["created_at"], "%Y-%m-%dT%H:%M:%S%z")
            assert moment.timestamp() * 1000 == unit["created_at_ts"]
        check_totals(read(summary.path, "usage"), units, owner)
        check_days(read(summary.path, "daily_usage"), units, zone)


def test_same_arguments_give_the_same_rows(tmp_path: Path) -> None:
    for name in ("a.db", "b.db"):
        write_demo_database(tmp_path / name, seed=3, now=NOW, days=5, units=300, users=10)
    write_demo_database(tmp_path / "c.db", seed=4, now=NOW, days=5, units=300, users=10)
    one, same, other = (dump(tmp_path / name) for name in ("a.db", "b.db", "c.db"))
    assert one == same
    assert one != other


def test_rows_do_not_depend_on_the_process(tmp_path: Path) -> None:
    code = (
        "import sys, datetime, ceems_grpc.demo.database as d;"
        "d.write_demo_database(sys.argv[1], now=datetime.datetime.fromisoformat(sys.argv[2]), days=5, units=300)"
    )
    for hash_seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{hash_seed}.db"), NOW.isoformat()],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            check=True,
        )
    assert (tmp_path / "1.db").read_bytes() == (tmp_path / "2.db").read_bytes()


def test_an_existing_file_is_kept_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "ceems.db"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="choose another path, or ask to overwrite"):
        write_demo_database(path, now=NOW, days=1, units=20)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "ceems.db"

    def appear(_done: int, _total: int) -> None:
        path.write_text("mine")

    with pytest.raises(FileExistsError):
        write_demo_database(path, now=NOW, days=1, units=20, progress=appear)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_overwriting_drops_the_wal_of_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "ceems.db"
    write_demo_database(path, seed=1, now=NOW, days=1, units=20)
    # A second connection keeps the log from being folded when the writer closes.
    with closing(sqlite3.connect(path)) as reader, closing(sqlite3.connect(path)) as writer:
        assert reader.execute("SELECT count(*) FROM units").fetchone() == (20,)
        writer.execute("UPDATE units SET name = 'old'")
        writer.commit()
        assert path.with_name("ceems.db-wal").stat().st_size > 0
        write_demo_database(path, seed=2, now=NOW, days=1, units=30, overwrite=True)
        assert reader.execute("SELECT count(*) FROM units WHERE name = 'old'").fetchone() == (20,)
        assert list(tmp_path.iterdir()) == [path]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*), sum(name = 'old') FROM units").fetchone() == (30, 0)


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_demo_database(tmp_path / "ceems.db", now=NOW, days=1, units=20, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_progress_rises_to_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        seen.append((done, total))

    write_demo_database(tmp_path / "ceems.db", now=NOW, days=9, units=5000, progress=note)
    assert seen == [(2000, 5000), (4000, 5000), (5000, 5000)]


def test_now_is_the_present_unless_given(tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    summary = write_demo_database(tmp_path / "ceems.db", days=1, units=20)
    assert -900 < (summary.updated - before).total_seconds() <= (datetime.now(UTC) - before).total_seconds()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": 19}, "19 units are too few"),
        ({"days": 0}, "0 days are too few"),
        ({"users": 2}, "2 users are too few"),
        ({"zone": "Mars/Base"}, "Unknown time zone 'Mars/Base'"),
        ({"now": datetime(2026, 1, 1)}, "now has no time zone"),  # noqa: DTZ001 - naive on purpose
    ],
)
def test_arguments_that_make_no_sense_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_demo_database(tmp_path / "ceems.db", **change)
    assert list(tmp_path.iterdir()) == []


def test_paths_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        write_demo_database(tmp_path / "missing" / "ceems.db")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_demo_database(tmp_path, overwrite=True)


def read(path: Path, table: str) -> list[Row]:
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def local_instant(text: str, zone: str = ZONE) -> datetime:
    """Parse a local time without an offset; if it names two instants, return the first."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def updated_at(unit: Row) -> datetime:
    """Parse when a unit was last updated; if the text names two instants, return the one just after the unit's end."""
    first = datetime.fromisoformat(unit["last_updated_at"]).replace(tzinfo=ZoneInfo(ZONE))
    moments = [first.astimezone(UTC), first.replace(fold=1).astimezone(UTC)]
    if not unit["ended_at_ts"]:
        return moments[0]
    waits = [moment for moment in moments if 0 <= moment.timestamp() - unit["ended_at_ts"] / 1000 < 900]
    assert waits, f"unit {unit['uuid']} ended at {unit['ended_at']} and was updated at {unit['last_updated_at']}"
    return waits[0]


def owner(row: Row) -> tuple[str, ...]:
    return (row["cluster_id"], row["username"], row["project"])


def check_days(rows: list[Row], units: list[Row], zone: str = "Europe/Paris") -> None:
    """Spread each unit over the UTC days in which it ran, by simple code, and compare with the rows of daily_usage."""
    expected: defaultdict[Any, defaultdict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
    for unit in units:
        updated = local_instant(unit["last_updated_at"], zone).timestamp()
        while unit["ended_at_ts"] and updated < unit["ended_at_ts"] / 1000:
            updated += 3600  # the second of two equal hours
        end = unit["ended_at_ts"] / 1000 or updated
        start = unit["started_at_ts"] / 1000 or updated
        for day in range(int(min(start, updated) // 86_400), int(updated // 86_400) + 1):
            inside = max(0.0, min(end, (day + 1) * 86_400) - max(start, day * 86_400))
            share = inside / (end - start) if end > start and start // 86_400 != updated // 86_400 else 1.0
            sums = expected[(*owner(unit), day)]
            last = day == updated // 86_400
            sums["num_units", ""] += last
            sums["num_updates", ""] += last * unit["num_updates"]
            for column in set(METRIC_COLUMNS) - set(MEANS):
                for key, value in (json.loads(unit[column]) or {}).items():
                    sums[column, key] += value * share
    got = {
        (*owner(row), int(local_instant(row["last_updated_at"], zone).timestamp()) // 86_400): {
            ("num_units", ""): row["num_units"],
            ("num_updates", ""): row["num_updates"],
            **{
                (column, key): value
                for column in set(METRIC_COLUMNS) - set(MEANS)
                for key, value in json.loads(row[column]).items()
            },
        }
        for row in rows
    }
    idle = {group for group, sums in expected.items() if not any(sums.values())}
    assert got.keys() - idle == expected.keys() - idle
    for group, values in got.items():
        for name in values.keys() | expected[group].keys():
            assert values.get(name, 0) == pytest.approx(expected[group].get(name, 0), rel=1e-6, abs=1e-6), (group, name)


def check_totals(rows: list[Row], units: list[Row], group: Any) -> None:
    """Sum the units by simple code, group by group, and compare with the rows of usage or daily_usage."""
    groups: defaultdict[Any, list[Row]] = defaultdict(list)
    for unit in units:
        groups[group(unit)].append(unit)
    assert len(rows) == len(groups)
    assert {group(row) for row in rows} == set(groups)
    for row in rows:
        members = groups[group(row)]
        assert row["num_units"] == len(members)
        assert row["num_updates"] == sum(unit["num_updates"] for unit in members)
        assert {unit["groupname"] for unit in members} == {row["groupname"]}
        assert {unit["resource_manager"] for unit in members} == {row["resource_manager"]}
        for column in METRIC_COLUMNS:
            expected = dict(mean(members, column) if column in MEANS else total(members, column))
            assert json.loads(row[column]) == pytest.approx(expected, rel=1e-9, abs=1.1e-8), column


def total(units: list[Row], column: str) -> Iterator[tuple[str, float]]:
    maps = [json.loads(unit[column]) or {} for unit in units]
    for key in {key for values in maps for key in values}:
        yield key, sum(values.get(key, 0) for values in maps)


def mean(units: list[Row], column: str) -> Iterator[tuple[str, float]]:
    pairs = [(json.loads(unit[column]) or {}, json.loads(unit["total_time_seconds"])[MEANS[column]]) for unit in units]
    for key in {key for values, _ in pairs for key in values}:
        weighed = [(values[key], weight) for values, weight in pairs if key in values]
        weights = sum(weight for _, weight in weighed)
        yield key, sum(value * weight for value, weight in weighed) / weights if weights else 0.0

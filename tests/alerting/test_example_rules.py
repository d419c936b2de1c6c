"""The rules in deploy/ are well formed; each fires on a database made for it and on no other."""

import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # of another package's needs, without types

from ceems_grpc.demo.database import write_demo_database
from tests.alerting.rules import FILE, Labels, Rule, load
from tests.support.databases import make, unit
from tests.support.plugin.ceems import CeemsPlugin
from tests.support.plugin.process import Plugin

RULES = {rule.uid: rule for rule in load()}
NOW = int(datetime(2026, 3, 2, 12, 40, tzinfo=UTC).timestamp())
HOUR, DAY = 3600, 86_400
SOURCES = yaml.safe_load((FILE.parents[1] / "datasources" / "ceems.yaml").read_text())["datasources"]
DURATION = re.compile(r"(\d+)([smhd])")


def database(path: Path, *rows: dict[str, Any]) -> Path:
    """Make a database with an administrator, in whose name rules are evaluated."""
    make(path, [unit(index, **row) for index, row in enumerate(rows)])
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO admin_users (cluster_id, name) VALUES ('all', 'watch')")
        for project in {row.get("project", "alpha") for row in rows}:
            for cluster in {row.get("cluster_id", "slurm-0") for row in rows}:
                writer.execute(
                    "INSERT INTO projects (cluster_id, resource_manager, name, users) VALUES (?, 'slurm', ?, ?)",
                    (cluster, project, '["ann"]'),
                )
        writer.commit()
    return path


async def firing(plugin: Plugin, uid: str, path: Path, now: int = NOW) -> set[Labels] | None:
    settings = {"path": str(path), "serviceUser": "watch", "timezone": "Europe/Paris"}
    return await RULES[uid].firing(CeemsPlugin(plugin, settings), now)


def of(**labels: str) -> Labels:
    return frozenset(labels.items())


def test_grafana_can_read_the_file() -> None:
    """The file satisfies what pkg/services/provisioning/alerting requires of a rule."""
    assert len(RULES) == 3
    for rule in RULES.values():
        assert {"name", "folder", "interval", "orgId"} <= rule.group.keys()
        assert DURATION.fullmatch(rule.group["interval"])
        assert DURATION.fullmatch(rule.rule["for"])
        assert rule.rule["noDataState"] in {"Alerting", "NoData", "OK", "KeepLast"}
        assert rule.rule["execErrState"] in {"Alerting", "Error", "OK", "KeepLast"}
        assert rule.rule["title"]
        assert len(rule.uid) <= 40
        names = [part["refId"] for part in rule.rule["data"]]
        assert len(set(names)) == len(names)
        assert rule.rule["condition"] in names
        for part in rule.rule["data"]:
            assert part["model"]["refId"] == part["refId"]
        for part in rule.queries:
            assert part["datasourceUid"] in {source["uid"] for source in SOURCES}
            assert part["relativeTimeRange"]["from"] > part["relativeTimeRange"]["to"] >= 0
        for before, part in enumerate(rule.expressions):
            assert part["model"]["expression"] in names[: len(rule.queries) + before]
        # Except in annotations, Grafana expands a dollar sign as an environment variable.
        assert "$" not in json.dumps([{**rule.rule, "annotations": {}}, rule.group["name"], rule.group["folder"]])


def test_summaries_name_what_there_is() -> None:
    for rule in RULES.values():
        summary = rule.rule["annotations"]["summary"]
        names = {part["refId"] for part in rule.rule["data"]}
        assert set(re.findall(r"\$values\.(\w+)\.Value", summary)) <= names
        labels = set(re.findall(r"\$labels\.(\w+)", summary))
        assert labels == set(rule.queries[0]["model"]["groupBy"])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_project_that_is_over_its_energy_budget(plugin: Plugin, tmp_path: Path) -> None:
    def used(kwh: float, project: str, days_ago: int = 1) -> dict[str, Any]:
        energy = json.dumps({"total": kwh})
        return {"ended": NOW - days_ago * DAY, "project": project, "total_cpu_energy_usage_kwh": energy}

    uid = "ceems-energy-budget"
    over = database(tmp_path / "over.db", used(600, "alpha"), used(401, "alpha"), used(999, "beta"))
    assert await firing(plugin, uid, over) == {of(project="alpha")}
    assert await firing(plugin, uid, over, NOW + 31 * DAY) is None
    below = database(tmp_path / "below.db", used(600, "alpha"), used(500, "alpha", days_ago=40), used(1, "beta"))
    assert await firing(plugin, uid, below) == set()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cluster_whose_data_are_stale(plugin: Plugin, tmp_path: Path) -> None:
    def updated(ago: int, cluster: str) -> dict[str, Any]:
        return {"ended": NOW - ago, "cluster_id": cluster}

    uid = "ceems-stale-cluster"
    stale = database(tmp_path / "stale.db", updated(600, "slurm-0"), updated(3 * HOUR, "slurm-1"))
    assert await firing(plugin, uid, stale) == {of(cluster_id="slurm-1")}
    fresh = database(tmp_path / "fresh.db", updated(600, "slurm-0"), updated(1200, "slurm-1"))
    assert await firing(plugin, uid, fresh) == set()
    assert await firing(plugin, uid, fresh, NOW + 2 * HOUR) == {of(cluster_id="slurm-0"), of(cluster_id="slurm-1")}
    assert await firing(plugin, uid, fresh, NOW + 30 * HOUR) is None  # and its noDataState is Alerting
    assert RULES[uid].rule["noDataState"] == "Alerting"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_project_that_hardly_uses_its_gpus(plugin: Plugin, tmp_path: Path) -> None:
    def gpu(percent: float | None, project: str, seconds: int = 36_000) -> dict[str, Any]:
        times = {"walltime": seconds, "alloc_gputime": seconds if percent is not None else 0}
        return {
            "ended": NOW - DAY,
            "project": project,
            "total_time_seconds": json.dumps(times),
            "avg_gpu_usage": json.dumps({} if percent is None else {"global": percent}),
        }

    uid = "ceems-low-gpu-use"
    low = database(tmp_path / "low.db", gpu(5, "alpha"), gpu(10, "alpha"), gpu(70, "beta"), gpu(None, "gamma"))
    assert await firing(plugin, uid, low) == {of(project="alpha")}
    good = database(tmp_path / "good.db", gpu(70, "alpha"), gpu(5, "alpha", seconds=60), gpu(None, "gamma"))
    assert await firing(plugin, uid, good) == set()


@pytest.mark.asyncio(loop_scope="module")
async def test_the_rules_say_something_of_the_demo(plugin: Plugin, tmp_path: Path) -> None:
    path = tmp_path / "demo.db"
    write_demo_database(path, units=3_000, days=40, now=datetime.fromtimestamp(NOW, UTC))
    ceems = CeemsPlugin(plugin, {"path": str(path), "serviceUser": "admin"})
    found = {uid: await rule.firing(ceems, NOW) for uid, rule in RULES.items()}
    assert found["ceems-energy-budget"]
    assert found["ceems-low-gpu-use"]
    assert found["ceems-stale-cluster"] == set()
    assert all(len(labels or ()) < 5 for labels in found.values())


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.uid)
async def test_rules_need_an_administrator_as_service_user(plugin: Plugin, tmp_path: Path, rule: Rule) -> None:
    path = database(tmp_path / "ceems.db", {"ended": NOW - 60})
    for service_user, said in (("", "set serviceUser in the data source's settings"), ("ann", "admin privileges")):
        ceems = CeemsPlugin(plugin, {"path": str(path), "serviceUser": service_user})
        with pytest.raises(AssertionError, match=said):
            await rule.firing(ceems, NOW)

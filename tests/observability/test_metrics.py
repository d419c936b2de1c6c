"""The plugin's metrics, as Prometheus reads them from the real process, without leftovers of closed sources."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from ceems_grpc.datasource import CeemsDataSource
from ceems_grpc.pb import pluginv2_pb2 as pb
from ceems_grpc.settings import Settings
from ceems_grpc.telemetry.mirrors import MirrorMetrics
from tests.support.mirrors import following, make_site
from tests.support.places import SYNTHETIC
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin

WINDOW = (1_763_700_000_000, 1_767_250_000_000)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
async def ceems() -> AsyncIterator[CeemsPlugin]:
    async with ceems_plugin(SYNTHETIC) as running:
        yield running


async def collected(ceems: CeemsPlugin) -> Samples:
    answer = await ceems.plugin.call("Diagnostics.CollectMetrics", pb.CollectMetricsRequest())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.metrics.prometheus.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


async def test_questions_are_counted_by_type_and_store(ceems: CeemsPlugin) -> None:
    usage = {"queryType": "usage", "admin": True}
    for model in ({"queryType": "units", "admin": True}, usage, usage, {"queryType": "users", "admin": True}):
        assert not (await ceems.query("admin", {"A": model}, WINDOW))["A"].error
    assert (await ceems.resource("admin", "units/admin")).status == 200
    samples = await collected(ceems)
    name = "ceems_question_duration_seconds_count"
    assert value(samples, name, type="units", store="database") == 2
    assert value(samples, name, type="usage", store="database") == 1
    assert value(samples, name, type="usage", store="kept") == 1
    assert value(samples, name, type="users", store="database") == 1
    assert value(samples, "ceems_usage_cache_lookups_total", result="hit") == 1
    assert value(samples, "ceems_usage_cache_bytes") > 1000


async def test_failures_are_counted_by_kind(ceems: CeemsPlugin) -> None:
    wrong = {"queryType": "units", "fields": ["nonsense"]}
    forbidden = {"queryType": "units", "admin": True}
    assert (await ceems.query("admin", {"A": wrong}, WINDOW))["A"].status == 400
    assert (await ceems.query("nobody", {"A": forbidden}, WINDOW))["A"].status == 403
    assert (await ceems.query(None, {"A": {"queryType": "units"}}, WINDOW))["A"].status == 401
    assert (await ceems.resource("nobody", "units/admin")).status == 403
    ceems.json_data = {"path": "/nowhere/ceems.db"}
    assert (await ceems.query("admin", {"A": {"queryType": "units"}}, WINDOW))["A"].status == 500
    assert (await ceems.resource("admin", "units")).status == 500
    samples = await collected(ceems)
    assert value(samples, "ceems_question_errors_total", kind="question") == 4
    assert value(samples, "ceems_question_errors_total", kind="store") == 2
    assert value(samples, "ceems_question_errors_total", kind="internal") == 0


async def test_questions_that_are_out_of_time_and_locked_out_are_counted(tmp_path: Path) -> None:
    path = make_site(tmp_path / "ceems.db", 50)
    async with ceems_plugin(path, queryTimeout="1s") as ceems:
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("PRAGMA journal_mode = DELETE")
            writer.execute("BEGIN EXCLUSIVE")  # readers wait
            asked = ceems.query("ann", {"A": {"queryType": "units"}}, WINDOW), ceems.resource("ann", "units")
            answers, response = await asyncio.gather(*asked)
            assert (answers["A"].status, response.status) == (504, 503)
            writer.execute("ROLLBACK")
        samples = await collected(ceems)
    assert value(samples, "ceems_question_errors_total", kind="timeout") == 2


async def test_open_streams_are_counted(ceems: CeemsPlugin) -> None:
    request = pb.RunStreamRequest(pluginContext=ceems.asker("admin").context(), path="stats", data=b"{}")
    call = ceems.plugin.start("Stream.RunStream", request)
    assert json.loads((await call.read()).data)["schema"]
    assert value(await collected(ceems), "ceems_open_streams") == 1
    call.cancel()
    while value(await collected(ceems), "ceems_open_streams"):
        pass


def settings(path: Path, **more: Any) -> Settings:
    return Settings.from_json(json.dumps({"path": str(path), **more}).encode())


async def test_mirrors_tell_their_age_and_state(tmp_path: Path) -> None:
    path = make_site(tmp_path / "ceems.db", 100)
    async with following(path, tmp_path / "mirror") as store:
        metrics = MirrorMetrics()
        metrics.watch("uid1", store)
        assert found(metrics) == {("ceems_mirror_fresh", "uid1"): 0.0}
        async with store.read():
            pass
        assert await store.settled()
        assert found(metrics) == {("ceems_mirror_fresh", "uid1"): 1.0, ("ceems_mirror_age_seconds", "uid1"): 0.0}
        with closing(sqlite3.connect(path)) as writer:
            writer.execute("UPDATE units SET name = 'other' WHERE id = 1")
            writer.commit()
        behind = found(metrics)
        assert behind["ceems_mirror_fresh", "uid1"] == 0.0
        assert 0.0 < behind["ceems_mirror_age_seconds", "uid1"] < found(metrics)["ceems_mirror_age_seconds", "uid1"]
        path.rename(tmp_path / "gone.db")
        assert found(metrics)["ceems_mirror_fresh", "uid1"] == 0.0
        metrics.watch("uid1", store)  # after a change of settings, a data source exists twice for a while
        assert len(found(metrics)) == 2
        metrics.forget(store)
        assert found(metrics) == {}


def found(metrics: MirrorMetrics) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels["datasource"]): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }


async def test_ten_thousand_changes_of_settings_leave_nothing(tmp_path: Path) -> None:
    path = make_site(tmp_path / "ceems.db", 20)

    def names() -> set[tuple[str, frozenset[tuple[str, str]]]]:
        return {
            (sample.name, frozenset(sample.labels.items()))
            for family in REGISTRY.collect()
            for sample in family.samples
        }

    configured = settings(path, mirror={"folder": str(tmp_path)})
    await CeemsDataSource(configured, uid="first").close()
    before = names()
    for number in range(10_000):
        await CeemsDataSource(configured, uid=f"uid{number}").close()
    assert names() == before


async def test_no_label_names_a_user_or_a_project(ceems: CeemsPlugin) -> None:
    for login in ("secret-user", "admin"):
        await ceems.query(login, {"A": {"queryType": "usage", "projects": ["secret-project"]}}, WINDOW)
    answer = await ceems.plugin.call("Diagnostics.CollectMetrics", pb.CollectMetricsRequest())
    assert b"secret" not in answer.metrics.prometheus

"""The CEEMS plugin under the real go-plugin and the real Grafana SDK: frames, errors, bodies, and a clean shutdown."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.go_host import PluginHost
from tests.support.places import ROOT, SYNTHETIC
from tests.support.plugin.process import alive
from tests.support.waiting import until

COMMAND = (sys.executable, "-m", "ceems_grpc", "serve")
SOURCE = {"uid": "ceems", "json_data": {"path": str(SYNTHETIC)}}
YEAR = {"from_ms": 1_735_689_600_000, "to_ms": 1_767_225_600_000}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "mutual TLS"])
def host(request: pytest.FixtureRequest) -> Iterator[PluginHost]:
    with PluginHost(COMMAND, cwd=ROOT, auto_mtls=request.param) as running:
        yield running


def _ask(host: PluginHost, user: str | None, *models: dict[str, Any], form: str = "arrow") -> dict[str, Any]:
    queries = [{"ref_id": ref_id, "model": model, **YEAR} for ref_id, model in zip("ABCDEFGH", models, strict=False)]
    answers: dict[str, Any] = host.ask("query", user=user, data_source=SOURCE, queries=queries, format=form)
    return dict(answers["responses"])


def _columns(response: dict[str, Any]) -> dict[str, list[Any]]:
    assert not response.get("error"), response
    return {field["name"]: field["values"] for frame in response["frames"] for field in frame["fields"]}


def test_health_tells_what_the_database_is(host: PluginHost) -> None:
    answer = host.ask("health", user="admin", data_source=SOURCE)
    assert answer["status"] == "OK"
    for fact in (
        "synthetic.db",
        "schema version 9",
        "600 units on 4 clusters",
        "Europe/Paris",
        "Warning: the data are",
    ):
        assert fact in answer["message"]


@pytest.mark.parametrize("form", ["arrow", "json"])
def test_units_usage_and_stats_are_read_by_the_sdk(host: PluginHost, form: str) -> None:
    responses = _ask(
        host,
        "admin",
        {"queryType": "units", "admin": True, "fields": ["uuid", "started_at", "avg_cpu_usage", "tags.qos"]},
        {"queryType": "usage", "admin": True, "fields": ["username", "num_units", "total_emissions_gms.rte_total"]},
        {"queryType": "stats", "mode": "global", "admin": True},
        {"queryType": "usage-over-time", "admin": True, "groupBy": ["cluster_id"]},
        {"queryType": "units"},
        {"queryType": "nothing"},
        form=form,
    )
    units = _columns(responses["A"])
    assert list(units) == ["uuid", "started_at", "avg_cpu_usage.global", "tags.qos"]
    assert len(units["uuid"]) == 594
    stats = _columns(responses["C"])
    assert stats["num_units"] == [48, 70, 343, 139]
    usage = _columns(responses["B"])
    assert sum(usage["num_units"]) > 500
    series = responses["D"]["frames"][0]["fields"]
    assert series[0]["type"].endswith("time.Time")
    assert {field["labels"]["cluster_id"] for field in series[1:]} == {"k8s-0", "os-0", "slurm-0", "slurm-1"}
    assert len(series[0]["values"]) == 366
    # The administrator has no units in this database, and a bad query does not affect the others.
    assert responses["E"]["frames"][0]["rows"] == 0
    assert (responses["F"]["status"], responses["F"]["error_source"]) == (400, "downstream")


def test_each_query_needs_a_user(host: PluginHost) -> None:
    response = _ask(host, None, {"queryType": "units"})["A"]
    assert response["status"] == 401
    assert response["error"].startswith("no user identified: alert rules and public dashboards have no signed-in user")


def test_all_units_come_as_streamed_json(host: PluginHost) -> None:
    answer = host.ask(
        "resource",
        user="admin",
        data_source=SOURCE,
        path="units/admin",
        url=f"units/admin?running&from={YEAR['from_ms']}&to={YEAR['to_ms'] + 86_400_000}",
        method="GET",
    )
    assert (answer["code"], len(json.loads(answer["body"])["data"])) == (200, 596)
    assert len(answer["parts"]) > 1


async def test_killing_the_host_leaves_no_process_behind() -> None:
    running = PluginHost(COMMAND, cwd=ROOT)
    killed = False
    with contextlib.suppress(RuntimeError), running:  # the host reports nothing when it ends
        running.ask("health", user="admin", data_source=SOURCE)
        plugin = int(running.started["pid"])
        assert alive(plugin)
        os.kill(running._process.pid, signal.SIGKILL)
        await until(lambda: not alive(plugin))
        killed = True
    assert killed

"""Frames as Grafana's alert rules read them: one number, or one series, for each set of labels.

The Go host reads them with the library that Grafana's server-side expressions use (github.com/grafana/dataplane/sdata).
"""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.go_host import PluginHost
from tests.support.places import ROOT, SYNTHETIC

COMMAND = (sys.executable, "-m", "ceems_grpc", "serve")
SOURCE = {"uid": "ceems", "json_data": {"path": str(SYNTHETIC)}}
YEAR = {"from_ms": 1_735_689_600_000, "to_ms": 1_767_225_600_000}
EMPTY = {"from_ms": 0, "to_ms": 86_400_000}
FORMATS = ("arrow", "json")
pytestmark = pytest.mark.go
ENERGY = "total_energy_usage_kwh.total"

NUMBERS: list[tuple[dict[str, Any], set[str]]] = [
    ({"queryType": "usage", "groupBy": ["project"], "exactGroupBy": True, "fields": ["project", ENERGY]}, {"project"}),
    ({"queryType": "usage", "fields": [ENERGY]}, {"username", "project"}),
    ({"queryType": "usage", "mode": "global", "fields": ["num_units"]}, {"username", "project", "cluster_id"}),
    ({"queryType": "usage", "source": "daily", "groupBy": ["cluster_id"], "exactGroupBy": True,
      "fields": ["total_time_seconds.walltime"]}, {"cluster_id"}),
    ({"queryType": "usage", "exactGroupBy": True, "fields": [ENERGY]}, set()),
    ({"queryType": "stats", "mode": "global", "fields": ["num_active_units"]}, {"cluster_id"}),
]  # fmt: skip
SERIES: list[tuple[dict[str, Any], set[str]]] = [
    ({"groupBy": ["cluster_id"], "fields": ["num_units"]}, {"cluster_id"}),
    ({"groupBy": ["cluster_id"], "fields": ["num_units"], "format": "multi"}, {"cluster_id"}),
    ({"groupBy": ["cluster_id", "project"], "fields": [ENERGY], "step": "week"}, {"cluster_id", "project"}),
    ({"fields": [ENERGY], "source": "units", "step": "month"}, set()),
]


@pytest.fixture(scope="module")
def host() -> Iterator[PluginHost]:
    with PluginHost(COMMAND, cwd=ROOT) as running:
        yield running


def rule(host: PluginHost, model: dict[str, Any], form: str, window: dict[str, int]) -> dict[str, Any]:
    queries = [{"ref_id": "A", "model": {"admin": True, **model}, **window}]
    asked = host.ask("query", user="admin", data_source=SOURCE, queries=queries, format=form, rule=True, quiet=True)
    response = asked["responses"]["A"]
    assert not response["error"], response["error"]
    assert "rule_error" not in response, response["rule_error"]
    read: dict[str, Any] = response["rule"]
    return read


def labels_differ(metrics: list[dict[str, Any]]) -> bool:
    sets = [tuple(sorted((metric["labels"] or {}).items())) for metric in metrics]
    return len(set(sets)) == len(sets)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("model", "labels"), NUMBERS)
def test_a_number_for_each_set_of_labels(host: PluginHost, form: str, model: dict[str, Any], labels: set[str]) -> None:
    read = rule(host, {**model, "format": "numeric"}, form, YEAR)
    assert (read["kind"], read["type"], read["schema"]) == ("numeric", "numeric-long", "not")
    assert read["metrics"]
    assert labels_differ(read["metrics"])
    for metric in read["metrics"]:
        assert set(metric["labels"] or {}) == labels
        assert len(metric["values"]) == 1
    assert any(metric["values"][0] for metric in read["metrics"])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("model", "labels"), SERIES)
def test_a_series_for_each_set_of_labels(host: PluginHost, form: str, model: dict[str, Any], labels: set[str]) -> None:
    read = rule(host, {"queryType": "usage-over-time", **model}, form, YEAR)
    assert (read["kind"], read["schema"]) == ("timeseries", "wide")
    assert read["metrics"]
    assert labels_differ(read["metrics"])
    for metric in read["metrics"]:
        assert set(metric["labels"] or {}) == labels
        assert metric["times"] == sorted(set(metric["times"]))
        assert len(metric["values"]) == len(metric["times"])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("model", [{**NUMBERS[0][0], "format": "numeric"}, {"queryType": "usage-over-time"}])
def test_nothing_found_is_no_data_and_no_error(host: PluginHost, form: str, model: dict[str, Any]) -> None:
    read = rule(host, {"users": ["nobody"], **model}, form, EMPTY)
    assert (read["kind"], read["metrics"]) == ("no data", [])


def test_several_numbers_would_share_their_labels(host: PluginHost) -> None:
    """Rules refuse such answers: docs/alerting.md says to ask for one field."""
    model = {"queryType": "stats", "mode": "global", "format": "numeric", "fields": ["num_units", "num_users"]}
    read = rule(host, model, "arrow", YEAR)
    assert {metric["name"] for metric in read["metrics"]} == {"num_units", "num_users"}
    assert not labels_differ(read["metrics"])


@pytest.mark.parametrize("form", FORMATS)
def test_the_report_of_a_query_survives_the_sdk(host: PluginHost, form: str) -> None:
    queries = [{"ref_id": "A", "model": {"queryType": "stats", "admin": True, "mode": "global"}, **YEAR}]
    for role in ("Admin", "Viewer"):
        asked = host.ask("query", user="admin", role=role, data_source=SOURCE, queries=queries, format=form)
        meta = asked["responses"]["A"]["frames"][0]["meta"]
        stats = {stat["displayName"]: stat for stat in meta["stats"]}
        assert stats["Rows of the answer"]["value"] == 4
        assert stats["Engine"]["unit"] == "ms"
        assert stats["Engine"]["value"] > 0
        assert ("SELECT" in meta["executedQueryString"]) is (role == "Admin")
        assert "stats; 2025-01-01T00:00:00Z to 2026-01-01T00:00:00Z; mode global; admin" in meta["executedQueryString"]

"""Each query type through Grafana's own query API, the health check, and an alert rule that fires."""

import time
from typing import Any

import pytest

from tests.e2e.real_grafana import RealGrafana, rows

QUERIES: dict[str, dict[str, Any]] = {
    "units": {"queryType": "units", "limit": 10, "admin": "auto"},
    "usage": {"queryType": "usage", "groupBy": ["project"], "exactGroupBy": True, "admin": "auto"},
    "usage by partition": {"queryType": "usage", "groupBy": ["tags.partition"], "exactGroupBy": True, "admin": "auto"},
    "prorated": {"queryType": "usage", "source": "prorated", "exactGroupBy": True, "admin": "auto"},
    "over time": {"queryType": "usage-over-time", "fields": ["num_units"], "admin": "auto"},
    "stats": {"queryType": "stats", "admin": "auto"},
    "projects": {"queryType": "projects", "admin": "auto"},
    "users": {"queryType": "users", "admin": "auto"},
    "clusters": {"queryType": "clusters", "admin": "auto"},
}


@pytest.mark.parametrize("model", QUERIES.values(), ids=QUERIES)
def test_each_query_type_brings_rows(grafana: RealGrafana, model: dict[str, Any]) -> None:
    result = grafana.query(model)
    assert "error" not in result, result
    assert rows(result), result


def test_save_and_test_succeeds(grafana: RealGrafana) -> None:
    answer = grafana.ask("GET", "/api/datasources/uid/ceems/health")
    assert (answer.status, answer.json["status"]) == (200, "OK"), answer


def test_the_api_answers_through_resources(grafana: RealGrafana) -> None:
    answer = grafana.ask("GET", "/api/datasources/uid/ceems/resources/users")
    assert answer.status == 200, answer
    assert answer.json["status"] == "success"
    assert answer.json["data"]


def test_an_alert_rule_fires(grafana: RealGrafana) -> None:
    uid = grafana.add_data_source("for-alerts", serviceUser="admin")
    folder = grafana.ask("POST", "/api/folders", {"title": "rules", "uid": "rules"})
    assert folder.status == 200, folder
    query = {
        "refId": "A",
        "queryType": "usage",
        "groupBy": ["cluster_id"],
        "exactGroupBy": True,
        "fields": ["cluster_id", "num_units"],
        "format": "numeric",
        "admin": "auto",
    }
    above = {
        "refId": "B",
        "type": "threshold",
        "expression": "A",
        "conditions": [{"evaluator": {"type": "gt", "params": [0]}}],
        "datasource": {"type": "__expr__", "uid": "__expr__"},
    }
    span = {"from": 30 * 86_400, "to": 0}
    rule = {
        "title": "units were counted",
        "ruleGroup": "ceems",
        "folderUID": "rules",
        "orgID": 1,
        "condition": "B",
        "for": "0s",
        "noDataState": "NoData",
        "execErrState": "Error",
        "data": [
            {"refId": "A", "datasourceUid": uid, "relativeTimeRange": span, "model": query},
            {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": {"from": 0, "to": 0}, "model": above},
        ],
    }
    made = grafana.ask("POST", "/api/v1/provisioning/alert-rules", rule)
    assert made.status == 201, made
    end = time.monotonic() + 150  # a rule is evaluated once a minute
    while time.monotonic() < end:
        alerts = grafana.ask("GET", "/api/prometheus/grafana/api/v1/alerts").json["data"]["alerts"]
        if alerts:
            break
        time.sleep(2)
    assert {alert["state"] for alert in alerts} == {"Alerting"}, alerts
    assert all(alert["labels"].get("cluster_id") for alert in alerts), alerts

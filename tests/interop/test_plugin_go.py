"""A complete plugin process, started and called by Grafana's own Go code: go-plugin and the SDK's clients."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.support.go_host import PluginHost
from tests.support.places import ROOT

ECHO = (sys.executable, "-m", "tests.support.plugin.echo")
FORMATS = ("arrow", "json")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "mutual TLS"])
def host(request: pytest.FixtureRequest) -> Iterator[PluginHost]:
    with PluginHost(ECHO, cwd=ROOT, auto_mtls=request.param) as running:
        yield running


def _queries(*models: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"ref_id": ref_id, "model": model, "from_ms": 0, "to_ms": 1000, "interval_ms": 10, "max_data_points": 100}
        for ref_id, model in zip("ABCDEF", models, strict=False)
    ]


def test_the_plugin_starts_on_a_unix_socket_and_answers_go_plugins_health_check(host: PluginHost) -> None:
    assert (host.started["protocol"], host.started["network"]) == (2, "unix")
    assert host.ask("ping").keys() == {"id", "op", "ms"}


def test_health_is_answered_with_details(host: PluginHost) -> None:
    answer = host.ask("health", user="alice", data_source={"uid": "u", "name": "here"})
    assert (answer["status"], answer["message"]) == ("OK", "echo for here")
    assert answer["details"] == {"verboseMessage": "fine"}


def test_wrong_settings_are_told_by_health_and_by_each_query(host: PluginHost) -> None:
    broken = {"uid": "wrong", "json_data": {"wrong": "no path"}}
    answer = host.ask("health", data_source=broken)
    assert (answer["status"], answer["message"]) == ("ERROR", "the setting is wrong: no path")
    response = host.query({}, data_source=broken)
    assert (response["error"], response["status"]) == ("the setting is wrong: no path", 400)
    assert response["error_source"] == "downstream"


def test_metrics_are_prometheus_text(host: PluginHost) -> None:
    assert "# TYPE process_cpu_seconds_total counter\n" in host.ask("metrics")["prometheus"]


@pytest.mark.parametrize("format_name", FORMATS)
def test_each_query_of_a_request_is_answered_on_its_own(host: PluginHost, format_name: str) -> None:
    failing = {"do": "fail", "message": "the database is busy", "status": 503, "source": "downstream"}
    queries = _queries({"do": "rows", "rows": 3, "null_at": 1}, failing, {"do": "nothing"})
    responses = host.ask("query", user="alice", format=format_name, queries=queries)["responses"]
    assert responses.keys() == {"A", "B", "C"}
    (frame,) = responses["A"]["frames"]
    assert (frame["name"], frame["ref_id"]) == ("rows", "A")
    assert [(field["name"], field["type"], field["values"]) for field in frame["fields"]] == [
        ("n", "*int64", [0, None, 2])
    ]
    assert (responses["A"]["status"], responses["A"]["error"]) == (200, "")
    assert responses["A"]["format"] == format_name.upper()
    assert (responses["B"]["error"], responses["B"]["status"]) == ("the database is busy", 503)
    assert (responses["B"]["error_source"], responses["B"]["frames"]) == ("downstream", [])
    assert (responses["C"]["status"], responses["C"]["frames"]) == (200, [])


def test_queries_of_one_request_run_side_by_side(host: PluginHost) -> None:
    queries = _queries(*[{"do": "meet", "parties": 3}] * 3)
    responses = host.ask("query", queries=queries, data_source={"uid": "meeting"})["responses"]
    assert [response["status"] for response in responses.values()] == [200, 200, 200]


@pytest.mark.parametrize("user", ["alice", None])
def test_the_plugin_learns_who_asks(host: PluginHost, user: str | None) -> None:
    (frame,) = host.query({}, user=user)["frames"]
    assert frame["fields"][0]["values"] == [user]


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("null_at", [None, 24_999])
def test_a_chunked_query_arrives_whole_and_in_order(
    host: PluginHost, format_name: Literal["arrow", "json"], null_at: int | None
) -> None:
    rows = 25_000
    queries = _queries({"do": "rows", "rows": rows, "null_at": null_at, "frames": 2}, {"do": "rows", "rows": 0})
    answer = host.ask("chunked_query", format=format_name, queries=queries)
    expected = [None if row == null_at else row for row in range(rows)]
    assert [frame["fields"][0]["values"] for frame in answer["frames"]["A"]] == [expected, expected]
    (empty,) = answer["frames"]["B"]
    assert (empty["rows"], [field["type"] for field in empty["fields"]]) == (0, ["int64"])
    assert sum(chunk["ref_id"] == "A" for chunk in answer["chunks"]) > 2, "so many rows come in several chunks"
    assert {chunk["format"] for chunk in answer["chunks"]} == {format_name.upper()}


def test_a_chunked_query_that_fails_says_why(host: PluginHost) -> None:
    failing = {"do": "fail", "message": "no such cluster", "status": 404, "source": "plugin"}
    (chunk,) = host.ask("chunked_query", queries=_queries(failing))["chunks"]
    assert (chunk["error"], chunk["status"], chunk["error_source"]) == ("no such cluster", 404, "plugin")


def test_a_resource_gets_the_whole_request(host: PluginHost) -> None:
    answer = host.ask(
        "resource",
        user="alice",
        path="api/v1/units",
        url="api/v1/units?from=1&to=2",
        method="POST",
        headers={"X-Asked": ["yes"]},
        body="ü".encode(),
    )
    assert answer["code"] == 200
    assert answer["headers"]["Content-Type"] == ["application/json"]
    told = json.loads(answer["body"])
    assert (told["path"], told["query"], told["method"]) == ("api/v1/units", "from=1&to=2", "POST")
    assert (told["user"], told["header"], told["body"]) == ("alice", "yes", "ü")


def test_the_environment_is_as_bare_as_grafanas(host: PluginHost) -> None:
    names = set(json.loads(host.ask("resource", path="x")["body"])["environment"])
    assert not names & {"PATH", "HOME", "LANG"}


def test_a_large_answer_comes_in_parts_of_which_the_first_has_status_and_headers(host: PluginHost) -> None:
    size = 20_000_000
    answer = host.ask("resource", path="big", url=f"big?{size}")
    assert len(answer["body"]) == size
    assert len(answer["parts"]) > 1
    assert max(part["bytes"] for part in answer["parts"]) <= 4 * 1024 * 1024, "gRPC's own limit for a message"
    streamed = host.ask("resource", path="pieces", url="pieces?3")
    assert (streamed["code"], streamed["body"]) == (201, b"0,1,2,")
    assert streamed["headers"] == {"X-One": ["c"], "X-Two": ["a", "b"]}


def test_a_refused_resource_is_an_answer_with_a_message(host: PluginHost) -> None:
    answer = host.ask("resource", path="refused")
    assert (answer["code"], json.loads(answer["body"])["message"]) == (404, "no such unit")


def test_a_stream_is_subscribed_and_run(host: PluginHost) -> None:
    subscribed = host.ask("subscribe", user="alice", path="ticks")
    assert (subscribed["status"], subscribed["data"]["schema"]["name"]) == ("OK", "initial")
    assert host.ask("subscribe", path="private")["status"] == "PERMISSION_DENIED"
    run = host.ask("run_stream", path="ticks", body=b'{"any":"json"}', count=10)
    assert run["ended"] is True
    assert run["packets"][0] == {"any": "json"}
    assert [frame["fields"][0]["values"] for frame in run["frames"][1:]] == [[0], [1]]
    published = host.ask("publish", path="ticks", body=b'{"a":1}')
    assert (published["status"], published["data"]) == ("OK", {"a": 1})


def test_a_cancelled_query_stops_its_work(host: PluginHost, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    source = {"uid": f"cancel {tmp_path}", "json_data": {"journal": str(journal)}}
    asked = host.send("query", queries=_queries({"do": "wait"}), data_source=source)
    _wait_for("A waits", journal)
    assert host.cancel(asked)
    assert host.wait(asked)["rpc_error"]["code"] == "Canceled"
    _wait_for("A stopped", journal)


def test_changed_settings_replace_the_data_source(host: PluginHost, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    source = {"uid": f"changed {tmp_path}", "json_data": {"journal": str(journal)}, "updated_ms": 1000}
    host.ask("health", data_source=source)
    host.ask("health", data_source=source)
    assert journal.read_text() == ""
    host.ask("health", data_source={**source, "updated_ms": 2000})
    _wait_for("closed", journal)


def test_the_plugin_ends_cleanly_and_its_log_reaches_the_host() -> None:
    with PluginHost(ECHO, cwd=ROOT) as host:
        address = Path(host.started["address"])
        assert address.is_socket()
    assert host.exit == {"code": 0, "graceful": True}
    assert not address.exists()
    messages = [json.loads(line)["@message"] for line in host.log]
    assert "plugin stopped" in messages


def test_what_is_no_plugin_does_not_start() -> None:
    host = PluginHost([sys.executable, "-c", "print('hello')"], cwd=ROOT)
    reason = "the plugin did not start: Unrecognized remote plugin message: hello"
    with pytest.raises(RuntimeError, match=reason), host:
        pass


def _wait_for(line: str, journal: Path) -> None:
    """Wait until the plugin has recorded the line, with a generous timeout."""
    for _ in range(3000):
        if line in journal.read_text().splitlines():
            return
        time.sleep(0.01)
    raise AssertionError(f"the plugin has not recorded {line!r}, only: {journal.read_text()!r}")

"""Compares a bridged data source with a local one, through the Go host: for tests from source and of the package."""

from __future__ import annotations

import json
from typing import Any

from tests.support.bridge_servers import Files, Server
from tests.support.compare import first_difference, same
from tests.support.go_host import PluginHost
from tests.support.places import SYNTHETIC

YEAR = {"from_ms": 1_735_689_600_000, "to_ms": 1_767_225_600_000}
LOCAL = {"uid": "local", "json_data": {"path": str(SYNTHETIC)}}
QUESTIONS: tuple[dict[str, Any], ...] = (
    {"queryType": "units", "admin": True, "orderBy": ["uuid"]},
    {"queryType": "usage", "admin": True},
    {"queryType": "stats", "mode": "global", "admin": True},
    {"queryType": "usage-over-time", "admin": True, "groupBy": ["cluster_id"]},
    {"queryType": "nothing"},
)


def bridged_source(files: Files, server: Server) -> dict[str, Any]:
    """Return a data source that is answered by the server."""
    return {
        "uid": "bridged",
        "json_data": {"address": f"localhost:{server.port}"},
        "secure_json": {"token": files.token, "caCert": files.authority.certificate},
    }


def check_bridged_answers(host: PluginHost, bridged: dict[str, Any]) -> None:
    """Request frames, a resource and a stream from a local and a bridged source; the SDK must read the same."""
    health = host.ask("health", user="admin", data_source=bridged)
    assert health["status"] == "OK", health
    assert "600 units on 4 clusters" in health["message"]
    queries = [{"ref_id": f"Q{number}", "model": model, **YEAR} for number, model in enumerate(QUESTIONS)]
    frames = [
        host.ask("query", user="admin", data_source=source, queries=queries)["responses"] for source in (LOCAL, bridged)
    ]
    found, wanted = _shown(frames[1]), _shown(frames[0])
    assert same(found, wanted), first_difference(found, wanted)
    assert sum(frame["rows"] for frame in frames[1]["Q0"]["frames"]) == 594
    assert frames[1]["Q4"]["error"]
    url = f"units/admin?running&from={YEAR['from_ms']}&to={YEAR['to_ms'] + 86_400_000}"
    asked: dict[str, Any] = {"user": "admin", "path": "units/admin", "url": url, "method": "GET"}
    resources = [host.ask("resource", data_source=source, **asked) for source in (LOCAL, bridged)]
    assert [answer["code"] for answer in resources] == [200, 200]
    bodies = [json.loads(answer["body"]) for answer in resources]
    assert bodies[1] == bodies[0], first_difference(bodies[1], bodies[0])
    assert len(bodies[1]["data"]) == 596
    assert len(resources[1]["parts"]) > 1
    stream: dict[str, Any] = {
        "user": "admin",
        "path": "stats/YWRtaW4",
        "body": b'{"queryType": "stats", "mode": "global", "admin": true}',
    }
    runs = []
    for source in (LOCAL, bridged):
        assert host.ask("subscribe", data_source=source, **stream)["status"] == "OK"
        runs.append(host.ask("run_stream", data_source=source, count=1, **stream))
    assert runs[1]["frames"][0]["fields"] == runs[0]["frames"][0]["fields"]
    refused = host.ask("subscribe", data_source=bridged, **{**stream, "user": "somebody-else"})
    assert refused["status"] == "PERMISSION_DENIED"


def _shown(responses: dict[str, Any]) -> dict[str, Any]:
    """Leave out what differs between two runs of a question: how long it took, and where the rows came from."""
    kept = {}
    for ref_id, response in responses.items():
        frames = [{**frame, "meta": None} for frame in response.get("frames") or []]
        kept[ref_id] = {**response, "frames": frames, "bytes": None}  # times are written without trailing zeros
    return kept

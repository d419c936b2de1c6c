"""Queries one running plugin about several databases: each, with its settings, is a separate data source."""

import json
from pathlib import Path
from typing import Any

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.support.plugin.ceems import Answered, CeemsPlugin
from tests.support.plugin.process import Asker, Plugin


class Source(CeemsPlugin):
    """A configured data source of a plugin."""

    def asker(self, login: str | None, role: str = "Viewer") -> Asker:
        uid = f"ceems-{hash(json.dumps(self.json_data, sort_keys=True)) & 0xFFFFFFFF:x}"
        return Asker(login=login, role=role, uid=uid, json_data=self.json_data)

    async def rows(self, login: str | None, path: str, *query: tuple[str, Any], **rest: Any) -> list[dict[str, Any]]:
        """Ask a question that is answered with rows."""
        got = await self.get(login, path, *query, **rest)
        assert got.status == 200, got.body
        assert got.json["status"] == "success"
        return list(got.json["data"])

    async def get(self, login: str | None, path: str, *query: tuple[str, Any], **rest: Any) -> Answered:
        return await self.resource(login, path, tuple((name, str(value)) for name, value in query), **rest)

    async def health(self, login: str = "grafana", role: str = "Admin") -> pb.CheckHealthResponse:
        answer: pb.CheckHealthResponse = await self.plugin.call(
            "Diagnostics.CheckHealth", pb.CheckHealthRequest(pluginContext=self.asker(login, role).context())
        )
        return answer


def source(plugin: Plugin, database: Path | str, **settings: Any) -> Source:
    return Source(plugin, {"path": str(database), **settings})


def error_of(answer: Answered) -> tuple[int, str, str]:
    """Check that an answer is the API's error object; return its status, type and message."""
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json
    assert list(body) == ["status", "data", "errorType", "error"]
    assert body["status"] == "error"
    assert body["data"] is None
    return answer.status, body["errorType"], body["error"]

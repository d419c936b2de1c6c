"""A small server in place of Grafana: it serves the page and passes the page's requests to the plugin process.

It implements the parts of Grafana's HTTP interface that a data source uses: queries, resources, health, stored
settings.
It listens on the loopback interface only.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.browser.plugin_process import PluginProcess
from tests.support.plugin.process import Asker

UID = "ceems"
_SOURCE = f"/api/datasources/uid/{UID}"


@dataclass
class Answer:
    """An HTTP response to the browser."""

    body: bytes
    status: int = HTTPStatus.OK
    content_type: str = "application/json"

    @classmethod
    def of(cls, value: Any, status: int = HTTPStatus.OK) -> Answer:
        return cls(json.dumps(value).encode(), status)


@dataclass
class SmallGrafana:
    """One data source and one signed-in user, which tests may change; requests are handled in threads of the server."""

    plugin: PluginProcess
    files: Path
    """The folder of the built page."""
    json_data: dict[str, Any]
    login: str = "admin"
    role: str = "Viewer"
    url: str = ""
    queries: list[dict[str, Any]] = field(default_factory=list)
    """The models of all queries that the page has sent, oldest first."""
    secure_json: dict[str, str] = field(default_factory=dict)
    _saved_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def answer(self, method: str, path: str, query: str, body: bytes) -> Answer:
        """Answer one request; `path` starts with a slash, `query` is its query string."""
        match method, path:
            case "GET", "/api/frontend/settings":
                return Answer.of({"user": self._user(), "datasources": self._datasources()})
            case "POST", "/api/ds/query":
                return self._query(json.loads(body))
            case "PUT", path if path == _SOURCE:
                saved = json.loads(body)
                self.json_data = saved["jsonData"]
                self.secure_json |= saved.get("secureJsonData", {})
                self._saved_ms = time.time_ns() // 1_000_000
                return Answer.of({"message": "Datasource updated"})
            case "GET", path if path == f"{_SOURCE}/health":
                return self._health()
            case _, path if path.startswith(f"{_SOURCE}/resources/"):
                return self._resource(method, path.removeprefix(f"{_SOURCE}/resources/"), query, body)
            case "GET", _:
                return self._file(path)
        return Answer.of({"message": f"nothing answers {method} {path}"}, HTTPStatus.NOT_FOUND)

    def _context(self) -> pb.PluginContext:
        return Asker(
            login=self.login,
            role=self.role,
            uid=UID,
            json_data=self.json_data,
            secure_json=self.secure_json,
            updated_ms=self._saved_ms,
        ).context()

    def _query(self, asked: dict[str, Any]) -> Answer:
        self.queries += asked["queries"]
        window = pb.TimeRange(fromEpochMS=int(asked["from"]), toEpochMS=int(asked["to"]))
        request = pb.QueryDataRequest(
            pluginContext=self._context(),
            format=pb.JSON,
            queries=[
                pb.DataQuery(
                    refId=model["refId"],
                    json=json.dumps(model).encode(),
                    queryType=model.get("queryType", ""),
                    timeRange=window,
                )
                for model in asked["queries"]
            ],
        )
        results = {}
        for ref_id, response in self.plugin.call("Data.QueryData", request).responses.items():
            result = {"status": response.status, "frames": [json.loads(frame) for frame in response.frames]}
            results[ref_id] = result | ({"error": response.error} if response.error else {})
        failed = any("error" in result for result in results.values())
        return Answer.of({"results": results}, HTTPStatus.BAD_REQUEST if failed else HTTPStatus.OK)

    def _resource(self, method: str, path: str, query: str, body: bytes) -> Answer:
        request = pb.CallResourceRequest(
            pluginContext=self._context(),
            path=path,
            method=method,
            url=f"{path}?{query}" if query else path,
            body=body,
        )
        parts = self.plugin.collect("Resource.CallResource", request)
        content_type = next(
            values.values[0] for name, values in parts[0].headers.items() if name.lower() == "content-type"
        )
        return Answer(b"".join(part.body for part in parts), parts[0].code, content_type)

    def _health(self) -> Answer:
        health = self.plugin.call("Diagnostics.CheckHealth", pb.CheckHealthRequest(pluginContext=self._context()))
        status = pb.CheckHealthResponse.HealthStatus.Name(health.status)
        answer = {"status": status, "message": health.message, "details": json.loads(health.jsonDetails or b"{}")}
        return Answer.of(answer, HTTPStatus.OK if status == "OK" else HTTPStatus.BAD_REQUEST)

    def _file(self, path: str) -> Answer:
        file = (self.files / ("index.html" if path == "/" else path[1:])).resolve()
        if not file.is_relative_to(self.files) or not file.is_file():
            return Answer(b"no such file", HTTPStatus.NOT_FOUND, "text/plain")
        return Answer(file.read_bytes(), content_type=guess_type(file.name)[0] or "application/octet-stream")

    def _user(self) -> dict[str, Any]:
        return {"login": self.login, "orgRole": self.role, "permissions": {"datasources:explore": True}}

    def _datasources(self) -> list[dict[str, Any]]:
        own = _instance(UID, "CEEMS", "ceems-ceems-datasource") | {"jsonData": self.json_data}
        return [own, _instance("metrics", "Metrics", "prometheus")]


def _instance(uid: str, name: str, kind: str) -> dict[str, Any]:
    meta = {"id": kind, "name": name, "type": "datasource", "info": {"logos": {"small": "data:,", "large": "data:,"}}}
    return {"id": 1, "uid": uid, "name": name, "type": kind, "meta": meta, "jsonData": {}, "readOnly": False}


@contextmanager
def serving(grafana: SmallGrafana) -> Iterator[SmallGrafana]:
    """Serve until the block ends; sets `url`, which ends with a slash."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                answer = grafana.answer(self.command, address.path, address.query, body)
            except grpc.RpcError as error:
                answer = Answer.of({"message": f"the plugin failed: {error}"}, HTTPStatus.INTERNAL_SERVER_ERROR)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 the base class looks for these names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base class's name
            """Log nothing: the tests report what went wrong."""

    class Server(ThreadingHTTPServer):
        # A page opens many connections at once.
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        grafana.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield grafana
        finally:
            server.shutdown()
            thread.join()

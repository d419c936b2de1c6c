"""The real plugin process on a database, queried over gRPC as Grafana does."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.support.plugin.process import Asker, Plugin, running

COMMAND = (sys.executable, "-m", "ceems_grpc", "serve")


@dataclass
class Answered:
    """A resource's answer: status, headers, and the body in the pieces in which it arrived."""

    status: int
    headers: dict[str, str]
    parts: tuple[bytes, ...]

    @cached_property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class CeemsPlugin:
    """Asks a running plugin about one database."""

    plugin: Plugin
    json_data: dict[str, Any]
    secure_json: dict[str, str] = field(default_factory=dict)
    uid: str = "ceems"

    def asker(self, login: str | None, role: str = "Viewer") -> Asker:
        return Asker(login=login, role=role, uid=self.uid, json_data=self.json_data, secure_json=self.secure_json)

    async def resource(
        self,
        login: str | None,
        path: str,
        query: str | tuple[tuple[str, str], ...] = "",
        *,
        role: str = "Viewer",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Answered:
        text = query if isinstance(query, str) else urlencode(query)
        request = pb.CallResourceRequest(
            pluginContext=self.asker(login, role).context(),
            path=path,
            method=method,
            url=f"{path}?{text}" if text else path,
            headers={name: pb.StringList(values=[value]) for name, value in (headers or {}).items()},
            body=body,
        )
        parts = await self.plugin.collect("Resource.CallResource", request)
        got = {name: values.values[0] for name, values in parts[0].headers.items()}
        return Answered(parts[0].code, got, tuple(part.body for part in parts))

    async def query(
        self, login: str | None, models: dict[str, dict[str, Any]], window: tuple[int, int], *, role: str = "Viewer"
    ) -> dict[str, pb.DataResponse]:
        """Send queries by refId; the window is in ms."""
        request = pb.QueryDataRequest(
            pluginContext=self.asker(login, role).context(),
            format=pb.ARROW,
            queries=[
                pb.DataQuery(
                    refId=ref_id,
                    json=json.dumps(model).encode(),
                    queryType=str(model.get("queryType", "")),
                    timeRange=pb.TimeRange(fromEpochMS=window[0], toEpochMS=window[1]),
                )
                for ref_id, model in models.items()
            ],
        )
        return dict((await self.plugin.call("Data.QueryData", request)).responses)

    async def table(
        self, login: str | None, model: dict[str, Any], window: tuple[int, int], *, role: str = "Viewer"
    ) -> pa.Table:
        """Send one query that is answered with one frame."""
        response = (await self.query(login, {"A": model}, window, role=role))["A"]
        assert not response.error, response.error
        assert len(response.frames) == 1
        return read_frame(response.frames[0])


def read_frame(data: bytes) -> pa.Table:
    """Decode an Arrow frame."""
    with pa.ipc.open_file(pa.BufferReader(data)) as reader:
        return reader.read_all()


@asynccontextmanager
async def ceems_plugin(database: Path, **settings: Any) -> AsyncIterator[CeemsPlugin]:
    """Run the plugin until the block ends."""
    async with running(COMMAND) as plugin:
        yield CeemsPlugin(plugin, {"path": str(database), **settings})

"""The API against its own OpenAPI document: schemathesis sends valid and invalid requests."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import grpc
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ceems_grpc.pb import pluginv2_pb2 as pb
from tests.hostile.wellness import check_words
from tests.support.plugin.ceems import Answered
from tests.support.plugin.process import Plugin
from tests.support.plugin.source import Source

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
_LOGINS = (None, "ann", "eve", "root")
_PREFIX = "/resources"


class Web:
    """A WSGI application in front of the plugin, in the role of Grafana: HTTP in, CallResource out."""

    def __init__(self, plugin: Plugin, ceems: Source) -> None:
        self._ceems = ceems
        self._channel = grpc.insecure_channel(plugin.handshake.target)
        self._call: Any = self._channel.unary_stream(
            "/pluginv2.Resource/CallResource",
            request_serializer=pb.CallResourceRequest.SerializeToString,
            response_deserializer=pb.CallResourceResponse.FromString,
        )
        self.login: str | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace").partition(_PREFIX)[2].lstrip("/")
        headers = {
            name[5:].replace("_", "-").title(): pb.StringList(values=[value.encode("latin-1").decode(errors="replace")])
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        query = environ.get("QUERY_STRING", "")
        request = pb.CallResourceRequest(
            pluginContext=self._ceems.asker(self.login).context(),
            path=path,
            method=environ["REQUEST_METHOD"],
            url=f"{quote(path)}?{query}" if query else quote(path),
            headers=headers,
            body=environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)),
        )
        parts = list(self._call(request, timeout=20))
        body = b"".join(part.body for part in parts)
        if parts[0].code >= 400 and parts[0].headers["Content-Type"].values == ["application/json"]:
            check_words(json.loads(body)["error"], f"{query} {request.method}")
        start_response(
            f"{parts[0].code} -",
            [(name, value) for name, values in parts[0].headers.items() for value in values.values],
        )
        return [body]

    def close(self) -> None:
        self._channel.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(plugin: Plugin, ceems: Source) -> Any:
    made = Web(plugin, ceems)
    yield made
    await asyncio.to_thread(made.close)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(web: Web) -> Any:
    # In a thread: the plugin's log is read by this event loop meanwhile.
    return await asyncio.to_thread(schemathesis.openapi.from_wsgi, f"{_PREFIX}/openapi.json", web)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_what_the_document_allows_and_what_it_does_not(
    web: Web, api: Any, mode: GenerationMode, data: st.DataObject
) -> None:
    operations = [result.ok() for result in api.get_all_operations()]
    if mode is GenerationMode.NEGATIVE:  # without parameters, nothing can be wrong
        operations = [operation for operation in operations if operation.query]
    assert len(operations) > 10
    operation = data.draw(st.sampled_from(sorted(operations, key=lambda operation: operation.path)))
    case = data.draw(operation.as_strategy(generation_mode=mode))
    web.login = data.draw(st.sampled_from(_LOGINS))
    await asyncio.to_thread(case.call_and_validate, checks=_CHECKS)


async def test_paths_that_are_not_served(plugin: Plugin, ceems: Source) -> None:
    for path in (
        "../units",
        "units/../users/admin",
        "..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "units\0",
        "units/admin/",
        "UNITS/ADMIN",
        "units//admin",
        "units/./admin",
        "api/v1/api/v1/units",
        "%75nits",
        "units;a=b",
        "\u202eunits",
        "file:///etc/passwd",
        "units?x",
        "a" * 100_000,
        "/" * 100_000,
    ):
        for login in (None, "eve"):
            answer = await _ask(plugin, ceems, login, path=path, url=path, method="GET")
            assert answer.status in {401, 403, 404}, path[:50]
            check_words(answer.json["error"])


async def test_urls_and_methods_that_are_none(plugin: Plugin, ceems: Source) -> None:
    for url in (
        "",
        "?",
        "http://[",
        "//[::1",
        "units#?",
        "units?%",
        "units?%f",
        "units?%u0041=1",
        "\\\\host\\share?x=1",
        "units?" + "%41" * 100_000,
        "units?" + "%" * 100_000,
        "units?" + "=&" * 5_000,
        "\ud7ff?\uffff=\U0010ffff",
        "http://user:password@host/units?a=1",
    ):
        answer = await _ask(plugin, ceems, "eve", path="units", url=url, method="GET")
        assert answer.status in {200, 400}, url[:50]
    for method in ("", "get", "POST", "PUT", "DELETE", "TRACE", "CONNECT", "X" * 100_000, "GET\r\nX: y", "\0"):
        answer = await _ask(plugin, ceems, "eve", path="units", url="units", method=method)
        assert answer.status == 405, method[:20]
        check_words(answer.json["error"], method)
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_bodies_are_not_looked_at(plugin: Plugin, ceems: Source) -> None:
    large = b"\0" * 30_000_000
    bodies = {"gzip": gzip.compress(large), "deflate": zlib.compress(large), "br": b"\xff" * 1000, "identity": large}
    for encoding, body in bodies.items():
        headers = {
            "Content-Encoding": pb.StringList(values=[encoding]),
            "Accept-Encoding": pb.StringList(values=["gzip, *"]),
        }
        answer = await _ask(
            plugin, ceems, "ann", path="projects", url="projects", method="GET", body=body, headers=headers
        )
        assert answer.status == 200
        assert [row["name"] for row in answer.json["data"]] == ["alpha"]


async def test_headers_of_any_size_and_form(plugin: Plugin, ceems: Source) -> None:
    for headers in (
        {"a" * 1_000_000: pb.StringList(values=["b"])},
        {"X-Grafana-Request-Id": pb.StringList(values=["a\r\nINFO forged" * 1000])},
        {"traceparent": pb.StringList(values=["00-" + "f" * 32])},
        {f"h{number}": pb.StringList(values=["v"] * 10) for number in range(10_000)},
        {"\0": pb.StringList(values=["\0"]), "": pb.StringList()},
    ):
        answer = await _ask(plugin, ceems, "ann", path="projects", url="projects", method="GET", headers=headers)
        assert answer.status == 200
    assert not [line for line in plugin.log() if "forged" in json.dumps(line)]


async def _ask(plugin: Plugin, ceems: Source, login: str | None, **rest: Any) -> Answered:
    request = pb.CallResourceRequest(pluginContext=ceems.asker(login).context(), **rest)
    parts = await plugin.collect("Resource.CallResource", request)
    got = {name: values.values[0] for name, values in parts[0].headers.items()}
    return Answered(parts[0].code, got, tuple(part.body for part in parts))

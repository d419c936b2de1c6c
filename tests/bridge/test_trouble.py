"""Every kind of trouble on the way to a server has its own message, the same for health and for queries."""

import asyncio
import json
import re
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from ceems_grpc.pb import pluginv2_pb2 as pb
from ceems_grpc.store.remote.diagnose import diagnose
from ceems_grpc.store.remote.endpoint import Endpoint
from ceems_grpc.store.remote.errors import Cause
from ceems_grpc.store.remote.protocol import PROTOCOL
from tests.bridge.authority import Authority
from tests.support.bridge_servers import BridgedPlugin, Files, Server, bridged, serving
from tests.support.plugin.process import Plugin

pytestmark = pytest.mark.asyncio(loop_scope="module")

WINDOW = (1_763_000_000_000, 1_767_300_000_000)
OLD = (sys.executable, "-m", "tests.bridge.old_server")
SLOW_CLOCK = (sys.executable, "-m", "tests.bridge.slow_clock_server")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(files: Files, database: Path) -> AsyncIterator[Server]:
    async with serving(*files.tls, *files.tokens, "--database", str(database)) as server:
        yield server


async def trouble_of(ceems: BridgedPlugin) -> tuple[int, str]:
    """Ask for health, then send a query; both must say the same. Return the query's status and message."""
    request = pb.CheckHealthRequest(pluginContext=ceems.asker("admin", "Admin").context())
    health = await ceems.plugin.call("Diagnostics.CheckHealth", request)
    assert health.status == pb.CheckHealthResponse.ERROR
    answer = (await ceems.query("user0000", {"A": {"queryType": "units"}}, WINDOW))["A"]
    assert answer.error == health.message
    assert answer.errorSource == "downstream"
    assert not answer.frames
    return answer.status, answer.error


def at(ceems: BridgedPlugin, address: str) -> BridgedPlugin:
    ceems.json_data |= {"address": address}
    return ceems


async def test_an_unknown_name(plugin: Plugin, files: Files) -> None:
    status, said = await trouble_of(at(bridged(plugin, files, 1), "no-such-host.invalid:9443"))
    assert (status, said.partition(" is not known here")[0]) == (502, "The name no-such-host.invalid")


async def test_nobody_listens(plugin: Plugin, files: Files) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    status, said = await trouble_of(bridged(plugin, files, port))
    assert status == 503
    assert said.startswith(f"Nothing listens on localhost:{port}: check that the ceems-grpc server runs there")


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (timedelta(days=-2), timedelta(hours=-1), r" expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC: renew it there"),
        (timedelta(hours=1), timedelta(days=1), r" is not valid before .* UTC: compare the clocks of the two hosts"),
    ],
)
async def test_a_certificate_that_is_not_valid_now(
    plugin: Plugin, tmp_path: Path, database: Path, *, start: timedelta, end: timedelta, said: str
) -> None:
    files = Files(tmp_path)
    files.write_pair(files.authority.issue("localhost", start=start, end=end))
    async with serving(*files.tls, *files.tokens, "--database", str(database)) as server:
        status, error = await trouble_of(bridged(plugin, files, server.port))
        assert status == 502
        assert re.match(f"The certificate of localhost:{server.port}{said}", error), error
        assert any("the certificate " in message for message in server.messages())


async def test_an_authority_that_is_not_the_servers(plugin: Plugin, files: Files, server: Server) -> None:
    other = bridged(plugin, files, server.port, {"token": files.token, "caCert": Authority("Wrong").certificate})
    none = bridged(plugin, files, server.port, {"token": files.token})
    wrong, unknown = await asyncio.gather(trouble_of(other), trouble_of(none))
    signed = (
        f"The certificate of localhost:{server.port} was signed by an authority, {files.authority.name}, that is not "
    )
    assert wrong == (502, f"{signed}the one that is set here.")
    assert unknown == (502, f"{signed}known here: set its certificate.")


async def test_a_name_that_is_not_in_the_certificate(plugin: Plugin, tmp_path: Path, database: Path) -> None:
    files = Files(tmp_path)
    files.write_pair(files.authority.issue("ceems.example", "ceems2.example"))
    async with serving(*files.tls, *files.tokens, "--database", str(database)) as server:
        status, said = await trouble_of(bridged(plugin, files, server.port))
        assert status == 502
        assert said == (
            f"The certificate of localhost:{server.port} is not for the name localhost, but for ceems.example, "
            "ceems2.example: use a name of the certificate, or set it as the server name."
        )
        named = bridged(plugin, files, server.port, tlsServerName="ceems2.example")
        assert (await named.query("user0000", {"A": {"queryType": "units"}}, WINDOW))["A"].status == 200


async def test_a_server_of_an_older_version(plugin: Plugin, files: Files, database: Path) -> None:
    async with serving(*files.tls, *files.tokens, "--database", str(database), command=OLD) as server:
        status, said = await trouble_of(bridged(plugin, files, server.port))
        assert status == 502
        assert said.startswith(
            f"localhost:{server.port}: this ceems-grpc server is version 0.0.1 and speaks protocol {PROTOCOL - 1}"
        )
        assert "the plugin in Grafana is version" in said
        assert said.endswith("install the same version on both hosts")


_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listener(serve: _Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen with something that is not a ceems-grpc server; yield its port."""
    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def _web_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()
    writer.close()


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass
    writer.close()


async def test_a_web_server_without_and_with_tls(plugin: Plugin, files: Files) -> None:
    async with listener(_web_server) as port:
        _, said = await trouble_of(bridged(plugin, files, port))
        assert said == f"localhost:{port} does not speak TLS: is it the port of the ceems-grpc server?"
        plain = bridged(plugin, files, port, {"token": files.token}, plainText=True)
        assert (await trouble_of(plain))[1] == f"localhost:{port} is not a ceems-grpc server: it does not speak HTTP/2."
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.folder / "server.crt", files.folder / "server.key")
    async with listener(_web_server, context) as port:
        _, said = await trouble_of(bridged(plugin, files, port))
        assert said == f"localhost:{port} is not a ceems-grpc server: it does not speak HTTP/2."


async def test_plain_text_to_a_server_with_tls(plugin: Plugin, files: Files, server: Server) -> None:
    plain = bridged(plugin, files, server.port, {"token": files.token}, plainText=True)
    assert await trouble_of(plain) == (502, f"localhost:{server.port} expects TLS: switch plain text off.")


async def test_another_grpc_server(plugin: Plugin, files: Files) -> None:
    other = grpc.aio.server()
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    ceems = bridged(plugin, files, port, {"token": files.token}, plainText=True)
    assert await trouble_of(ceems) == (502, f"localhost:{port} is a gRPC server, but not a ceems-grpc server.")
    await other.stop(None)


async def test_a_host_that_does_not_answer() -> None:
    async with listener(_silent) as port:
        trouble = await diagnose(Endpoint(f"127.0.0.1:{port}", plain_text=True))
    assert trouble is not None
    assert (trouble.cause, trouble.status) == (Cause.NETWORK, 503)
    assert "accepts connections, but does not answer" in str(trouble)


@pytest.mark.parametrize(
    ("secure", "said"),
    [
        ({"caCert": "nothing"}, "The certificate of the authority (CA) is not a certificate in PEM"),
        ({"clientCert": "x", "clientKey": "y"}, "The client certificate is not a certificate in PEM"),
        (
            {"clientCert": "{good}", "clientKey": "y"},
            "The key of the client certificate is not an unencrypted private key",
        ),
        ({"clientCert": "{good}", "clientKey": "{other}"}, "belongs to another certificate"),
        ({"clientCert": "{good}"}, "A client certificate and its key belong together"),
        ({"token": "t\u00f6ken"}, "The secret token cannot be used as it is"),
    ],
)
async def test_secrets_that_cannot_be_used(plugin: Plugin, files: Files, secure: dict[str, str], said: str) -> None:
    pair, other = files.authority.issue("grafana"), files.authority.issue("other")
    known = {"{good}": pair.certificate, "{other}": other.key}
    ceems = bridged(plugin, files, 9443, {key: known.get(value, value) for key, value in secure.items()})
    _, error = await trouble_of(ceems)
    assert said in error


async def test_certificates_whose_ends_of_lines_were_lost_are_read(
    plugin: Plugin, files: Files, server: Server
) -> None:
    pair = files.authority.issue("grafana")
    pasted = {
        "token": files.token,
        "caCert": files.authority.certificate.replace("\n", ""),
        "clientCert": pair.certificate.replace("\n", "\r\n"),
        "clientKey": pair.key.replace("\n", ""),
    }
    ceems = bridged(plugin, files, server.port, pasted)
    answer = (await ceems.query("user0000", {"A": {"queryType": "units"}}, WINDOW))["A"]
    assert (answer.status, answer.error) == (200, "")
    health = pb.CheckHealthRequest(pluginContext=ceems.asker("admin", "Admin").context())
    assert (await plugin.call("Diagnostics.CheckHealth", health)).status == pb.CheckHealthResponse.OK


async def test_clocks_that_differ_are_told_and_nothing_fails(plugin: Plugin, files: Files, database: Path) -> None:
    async with serving(*files.tls, *files.tokens, "--database", str(database), command=SLOW_CLOCK) as server:
        ceems = bridged(plugin, files, server.port)
        request = pb.CheckHealthRequest(pluginContext=ceems.asker("admin", "Admin").context())
        health = await plugin.call("Diagnostics.CheckHealth", request)
        assert health.status == pb.CheckHealthResponse.OK
        warned = re.search(r"Warning: the clock of localhost is (\d+) s behind Grafana's", health.message)
        assert warned is not None, health.message
        assert 595 <= int(warned[1]) <= 605
        assert -605 < json.loads(health.jsonDetails)["bridge"]["clockAheadSeconds"] < -595
        assert (await ceems.query("user0000", {"A": {"queryType": "units"}}, WINDOW))["A"].status == 200

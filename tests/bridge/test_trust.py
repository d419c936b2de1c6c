"""Access to real servers: tokens, certificates, and what must not be open to the network."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2

from ceems_grpc.bridge.create_datasource import create_datasource
from ceems_grpc.bridge.listening import ListenError
from ceems_grpc.bridge.private_files import SecretFileError
from ceems_grpc.bridge.server import run_server
from ceems_grpc.cli.errors import CommandError
from ceems_grpc.cli.options.parse import parse
from ceems_grpc.cli.server import policy_of, server_settings
from ceems_grpc.grafana.serve.instances import InstanceManager
from ceems_grpc.pb import bridge_pb2
from ceems_grpc.pb import pluginv2_pb2 as pb
from ceems_grpc.settings import SettingsError
from ceems_grpc.store.remote.connection import BridgeConnection
from ceems_grpc.store.remote.endpoint import Endpoint
from ceems_grpc.store.remote.errors import AnsweredError, Cause, RemoteError
from ceems_grpc.store.remote.protocol import PROTOCOL, PROTOCOL_KEY, VERSION_KEY
from tests.bridge.authority import Authority, Pair
from tests.support.bridge_servers import BridgedPlugin, Files, Server, bridged, serving
from tests.support.command import ceems_grpc
from tests.support.plugin.process import Plugin

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = {"A": {"queryType": "units"}}
WINDOW = (1_763_000_000_000, 1_767_300_000_000)
METHODS = {
    "/pluginv2.Data/QueryData": pb.QueryDataRequest,
    "/pluginv2.Data/QueryChunkedData": pb.QueryChunkedDataRequest,
    "/pluginv2.Resource/CallResource": pb.CallResourceRequest,
    "/pluginv2.Diagnostics/CheckHealth": pb.CheckHealthRequest,
    "/pluginv2.Diagnostics/CollectMetrics": pb.CollectMetricsRequest,
    "/pluginv2.Stream/SubscribeStream": pb.SubscribeStreamRequest,
    "/pluginv2.Stream/PublishStream": pb.PublishStreamRequest,
    "/pluginv2.Stream/RunStream": pb.RunStreamRequest,
    "/ceems.v1.Bridge/Hello": bridge_pb2.HelloRequest,
    "/grpc.health.v1.Health/Check": health_pb2.HealthCheckRequest,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": health_pb2.HealthCheckRequest,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(files: Files, database: Path) -> AsyncIterator[Server]:
    async with serving(*files.tls, *files.tokens, "--database", str(database)) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mutual(files: Files, database: Path) -> AsyncIterator[Server]:
    names = ["--client-name", "grafana", "--client-name", "grafana.example"]
    async with serving(*files.tls, *files.client_ca, *names, "--database", str(database)) as server:
        yield server


async def error_of(ceems: BridgedPlugin) -> tuple[int, str]:
    answer = (await ceems.query("user0000", QUESTION, WINDOW))["A"]
    return answer.status, answer.error


async def health_of(ceems: BridgedPlugin) -> Any:
    request = pb.CheckHealthRequest(pluginContext=ceems.asker("admin", "Admin").context())
    return await ceems.plugin.call("Diagnostics.CheckHealth", request)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("token", [None, "", "0" * 64, "the right one, without Bearer"])
async def test_without_the_token_nothing_is_told_and_no_identity_is_believed(
    files: Files, server: Server, method: str, token: str | None
) -> None:
    forged = pb.PluginContext(orgId=1, user=pb.User(login="admin", role="Admin"))
    request = METHODS[method]()
    if hasattr(request, "pluginContext"):
        request.pluginContext.CopyFrom(forged)
    value = files.token if token and token.startswith("the right") else f"Bearer {token}"
    metadata = [(PROTOCOL_KEY, str(PROTOCOL))] + ([] if token is None else [("authorization", value)])
    credentials = grpc.ssl_channel_credentials(files.authority.certificate.encode())
    async with grpc.aio.secure_channel(f"localhost:{server.port}", credentials) as channel:
        ask: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(method)
        call = ask(request.SerializeToString(), metadata=metadata, timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await anext(aiter(call))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    wanted = "the token is missing" if token is None else "the token is not one of the server's"
    assert refused.value.details() == wanted


@pytest.mark.parametrize(("secret", "said"), [({}, "the token is missing"), ({"token": "0" * 64}, "the token is not")])
async def test_a_plugin_without_the_token_is_told_so(
    plugin: Plugin, files: Files, server: Server, secret: dict[str, str], said: str
) -> None:
    ceems = bridged(plugin, files, server.port, {"caCert": files.authority.certificate, **secret})
    status, error = await error_of(ceems)
    assert status == 502
    assert error.startswith(f"localhost:{server.port}: {said}")
    health = await health_of(ceems)
    assert health.status == pb.CheckHealthResponse.ERROR
    assert health.message.startswith(f"localhost:{server.port}: {said}")
    resource = await ceems.resource("user0000", "units")
    assert resource.status == 502  # a browser would take 401 for the end of its own session
    assert said in resource.json["message"]
    listening = pb.SubscribeStreamRequest(pluginContext=ceems.asker("user0000").context(), path="stats")
    with pytest.raises(grpc.aio.AioRpcError, match=said):
        await plugin.call("Stream.SubscribeStream", listening)
    logs = [str(line) for line in (*server.log, *plugin.log())]
    assert not [line for line in logs if files.token in line or "0" * 64 in line]


async def test_tokens_are_replaced_while_the_server_runs(plugin: Plugin, tmp_path: Path, database: Path) -> None:
    files = Files(tmp_path)
    old, new = files.token, "b" * 64
    async with serving(*files.tls, *files.tokens, "--database", str(database)) as server:
        certificate = {"caCert": files.authority.certificate}
        first = bridged(plugin, files, server.port, {**certificate, "token": old})
        second = bridged(plugin, files, server.port, {**certificate, "token": new})
        assert [(await error_of(asker))[0] for asker in (first, second)] == [200, 502]
        files.write_tokens("# both for a while", old, "", new)
        assert [(await error_of(asker))[0] for asker in (first, second)] == [200, 200]
        files.write_tokens(new)
        assert [(await error_of(asker))[0] for asker in (first, second)] == [502, 200]
        files.write_tokens(old, new, mode=0o644)
        assert [(await error_of(asker))[0] for asker in (first, second)] == [502, 502]
        assert any("all calls are refused" in message and "chmod" in message for message in server.messages())
        files.write_tokens(old)
        assert [(await error_of(asker))[0] for asker in (first, second)] == [200, 502]


async def test_a_certificate_is_renewed_while_the_server_runs(plugin: Plugin, tmp_path: Path, database: Path) -> None:
    files = Files(tmp_path)
    new = Authority("The next authority")
    async with serving(*files.tls, *files.tokens, "--database", str(database)) as server:
        before = bridged(plugin, files, server.port)
        after = bridged(plugin, files, server.port, {"token": files.token, "caCert": new.certificate})
        assert (await error_of(before))[0] == 200
        pair = new.issue("localhost")
        # After half a renewal, the previous certificate stays in use.
        (tmp_path / "server.crt").write_text(pair.certificate)
        assert (await health_of(bridged(plugin, files, server.port))).status == pb.CheckHealthResponse.OK
        assert any("belongs to another certificate" in message for message in server.messages())
        files.write_pair(pair)
        health = await health_of(after)
        assert health.status == pb.CheckHealthResponse.OK, health.message


@pytest.mark.parametrize("names", [("grafana",), ("other", "grafana.example")])
async def test_a_client_certificate_with_an_allowed_name_is_let_in(
    plugin: Plugin, files: Files, mutual: Server, names: Sequence[str]
) -> None:
    pair = files.authority.issue(*names)
    secure = {"caCert": files.authority.certificate, "clientCert": pair.certificate, "clientKey": pair.key}
    assert await error_of(bridged(plugin, files, mutual.port, secure)) == (200, "")


async def test_other_clients_are_not_let_in_and_told_why(plugin: Plugin, files: Files, mutual: Server) -> None:
    authority = {"caCert": files.authority.certificate}

    def with_pair(pair: Any) -> BridgedPlugin:
        secure = {**authority, "clientCert": pair.certificate, "clientKey": pair.key}
        return bridged(plugin, files, mutual.port, secure)

    askers = {
        "may require a client certificate": bridged(plugin, files, mutual.port, {**authority, "token": files.token}),
        "the client certificate is for someone: that is not allowed": with_pair(files.authority.issue("someone")),
        "refuses the client certificate": with_pair(Authority("Another").issue("grafana")),
        "The client certificate expired on": with_pair(files.authority.issue("grafana", end=timedelta(hours=-0.5))),
    }
    for wanted, asker in askers.items():
        health = await health_of(asker)
        assert health.status == pb.CheckHealthResponse.ERROR
        assert wanted in health.message
    errors = await asyncio.gather(*map(error_of, askers.values()))
    assert [(status, wanted in error) for (status, error), wanted in zip(errors, askers, strict=True)] == [
        (502, True)
    ] * 4


async def test_where_both_are_wanted_one_is_not_enough(plugin: Plugin, files: Files, database: Path) -> None:
    async with serving(*files.tls, *files.client_ca, *files.tokens, "--database", str(database)) as server:
        pair = files.authority.issue("anybody")
        certificates = {
            "caCert": files.authority.certificate, "clientCert": pair.certificate, "clientKey": pair.key,
        }  # fmt: skip
        both = bridged(plugin, files, server.port, {**certificates, "token": files.token})
        assert (await error_of(both))[0] == 200
        assert (await error_of(bridged(plugin, files, server.port, certificates)))[0] == 502
        assert (await error_of(bridged(plugin, files, server.port)))[0] == 502


async def test_plain_text_on_loopback_wants_the_token_too(plugin: Plugin, files: Files, database: Path) -> None:
    async with serving("--plain-text", *files.tokens, "--database", str(database)) as server:
        plain = bridged(plugin, files, server.port, {"token": files.token}, plainText=True)
        assert await error_of(plain) == (200, "")
        assert (await error_of(bridged(plugin, files, server.port, {}, plainText=True)))[0] == 502
        over_tls = await health_of(bridged(plugin, files, server.port))
        assert "does not speak TLS" in over_tls.message


async def test_the_plugin_sends_no_token_in_plain_text_through_the_network(plugin: Plugin, files: Files) -> None:
    ceems = bridged(plugin, files, 9443)
    ceems.json_data |= {"address": "ceems.example:9443", "plainText": True}
    health = await health_of(ceems)
    assert health.status == pb.CheckHealthResponse.ERROR
    assert "Plain text is allowed only for this host" in health.message
    with pytest.raises(RemoteError, match="Plain text"):
        BridgeConnection(Endpoint("ceems.example:9443", plain_text=True, token="t" * 32))


REFUSED_STARTS = [
    (["--listen", "0.0.0.0:0", "--plain-text", "{tokens}"], "Plain text is only for loopback addresses"),
    (["--listen", ":0", "--plain-text", "{tokens}"], "Plain text is only for loopback addresses"),
    (["--listen", "[::]:0", "--plain-text", "{tokens}"], "Plain text is only for loopback addresses"),
    (["--listen", "127.0.0.1:0", "--plain-text"], "give --token-file or --client-ca"),
    (["--listen", "127.0.0.1:0", "{tls}"], "give --token-file or --client-ca"),
    (["--listen", "127.0.0.1:0", "{tokens}"], "Give --tls-cert and --tls-key"),
    (["--listen", "127.0.0.1:0", "{tls}", "{tokens}", "--client-name", "x"], "--client-name requires --client-ca"),
    (["--listen", "127.0.0.1:0", "{tls}", "{tokens}", "--plain-text"], "--plain-text means no TLS"),
    (["--listen", "9443", "{tls}", "{tokens}"], "write HOST:PORT"),
    (["--listen", "127.0.0.1:65536", "{tls}", "{tokens}"], "write HOST:PORT"),
    (["--listen", "192.0.2.1:0", "{tls}", "{tokens}"], "Cannot listen on 192.0.2.1:0"),
    (["--listen", "127.0.0.1:0", "{tls}", "{tokens}", "--query-timeout", "soon"], "is not a duration"),
    (["--listen", "127.0.0.1:0", "{tls}", "{tokens}", "--max-answer-size", "2048"], "from 1 to 2047 MiB"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED_STARTS, ids=lambda value: str(value)[:60])
async def test_what_would_be_open_to_anybody_does_not_start(
    files: Files, database: Path, arguments: list[str], said: str
) -> None:
    known = {"{tls}": files.tls, "{tokens}": files.tokens}
    given = [part for argument in arguments for part in known.get(argument, [argument])]
    options = parse("", ["server", "--database", str(database), *given])

    async def start() -> None:
        policy_of(options)
        await run_server(server_settings(options), InstanceManager(create_datasource))

    with pytest.raises((CommandError, ListenError, SettingsError)) as refused:
        await start()
    assert said in str(refused.value)


async def test_a_server_that_cannot_start_says_why_and_ends(files: Files, server: Server, database: Path) -> None:
    for arguments, said in (
        (["--listen", "0.0.0.0:0", "--plain-text", *files.tokens], "Plain text is only for loopback addresses"),
        (["--listen", f"127.0.0.1:{server.port}", *files.tls, *files.tokens], "the address is in use"),
        (["--listen", "127.0.0.1:0", *files.tls, "--token-file", __file__], "is open to other users"),
    ):
        ended = await asyncio.to_thread(ceems_grpc, "server", "--database", str(database), *arguments)
        assert ended.returncode == 1
        assert f"ceems-grpc server: {said}" in ended.stderr or said in ended.stderr
        assert "Traceback" not in ended.stderr


def _open_tokens(files: Files) -> None:
    files.write_tokens(files.token, mode=0o640 | stat.S_IROTH)


def _group_writes_tokens(files: Files) -> None:
    files.write_tokens(files.token, mode=0o660)


def _no_tokens(files: Files) -> None:
    files.write_tokens("# none yet")


def _short_token(files: Files) -> None:
    files.write_tokens("secret")


def _missing_tokens(files: Files) -> None:
    (files.folder / "tokens").unlink()


def _folder_of_tokens(files: Files) -> None:
    _missing_tokens(files)
    (files.folder / "tokens").mkdir()


def _open_key(files: Files) -> None:
    (files.folder / "server.key").chmod(0o644)


def _other_key(files: Files) -> None:
    (files.folder / "server.key").write_text(files.authority.issue("other").key)


def _no_key(files: Files) -> None:
    (files.folder / "server.key").write_text("nothing")


def _no_certificate(files: Files) -> None:
    (files.folder / "server.crt").write_text("nothing")


def _large_curve(files: Files) -> None:
    """Write a key on a curve that TLS libraries know but gRPC's does not; trustme cannot make one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP521R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files.write_pair(Pair(certificate.decode(), key.private_bytes(*private).decode()))


BAD_FILES = {
    _open_tokens: "is open to other users (mode 0644)",
    _group_writes_tokens: "is open to other users (mode 0660)",
    _no_tokens: "holds no token",
    _short_token: "fewer than 24 characters",
    _missing_tokens: "cannot be read: No such file",
    _folder_of_tokens: "is not a file",
    _open_key: "is open to other users",
    _other_key: "belongs to another certificate",
    _no_key: "is not an unencrypted private key",
    _no_certificate: "is not a certificate in PEM",
    _large_curve: "use RSA, P-256 or P-384",
}


@pytest.mark.parametrize("spoil", BAD_FILES)
async def test_files_that_cannot_be_used_are_told_at_the_start(tmp_path: Path, spoil: Any) -> None:
    files = Files(tmp_path)
    spoil(files)
    options = parse("", ["server", "--listen", "127.0.0.1:0", "--database", "/", *files.tls, *files.tokens])
    with pytest.raises(SecretFileError) as refused:
        await run_server(server_settings(options), InstanceManager(create_datasource))
    assert BAD_FILES[spoil] in str(refused.value)


@pytest.mark.parametrize("spoken", [PROTOCOL - 1, 999])
async def test_another_version_of_the_plugin_is_told_by_the_server(files: Files, server: Server, spoken: int) -> None:
    credentials = grpc.ssl_channel_credentials(files.authority.certificate.encode())
    async with grpc.aio.secure_channel(f"localhost:{server.port}", credentials) as channel:
        hello: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/ceems.v1.Bridge/Hello")
        metadata = [("authorization", f"Bearer {files.token}"), (PROTOCOL_KEY, str(spoken)), (VERSION_KEY, "99.1.2")]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await hello(b"", metadata=metadata, timeout=10)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert f"version 99.1.2 and speaks protocol {spoken}: install the same version" in (refused.value.details() or "")


async def test_a_method_that_only_other_versions_have(files: Files, server: Server) -> None:
    endpoint = Endpoint(f"localhost:{server.port}", token=files.token, ca_cert=files.authority.certificate)
    connection = BridgeConnection(endpoint)
    with pytest.raises(RemoteError, match="does not know /ceems") as refused:
        await connection.call("/ceems.v9.New/Thing", b"", seconds=10)
    assert refused.value.cause is Cause.VERSION
    with pytest.raises(AnsweredError):
        await connection.call("/grpc.health.v1.Health/Check", b"\n\x04none", seconds=10)
    await connection.close()


async def test_the_service_manager_is_told_when_it_listens(tmp_path: Path, database: Path) -> None:
    files = Files(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        os.environ["NOTIFY_SOCKET"] = str(tmp_path / "notify")

        async def notification() -> bytes:
            async with asyncio.timeout(20):
                return await asyncio.get_running_loop().sock_recv(manager, 1000)

        try:
            async with serving(*files.tls, *files.tokens, "--database", str(database)) as server:
                assert (await notification()).startswith(b"READY=1\nSTATUS=listening on 127.0.0.1:")
                assert await server.stop() == 0
                assert await notification() == b"STOPPING=1"
        finally:
            del os.environ["NOTIFY_SOCKET"]

"""`ceems-grpc probe` distinguishes servers and feeders that answer from everything else."""

from __future__ import annotations

import asyncio
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client import start_http_server

from ceems_grpc.feed.metrics import FeedMetrics
from tests.support.bridge_servers import Files, serving
from tests.support.command import ceems_grpc
from tests.support.places import SYNTHETIC
from tests.support.ports import free_port


async def test_a_server_answers_without_a_token(tmp_path: Path) -> None:
    files = Files(tmp_path)
    async with serving("--database", str(SYNTHETIC), *files.tls, *files.tokens) as server:
        done = await asyncio.to_thread(ceems_grpc, "probe", "server", f"127.0.0.1:{server.port}")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        wrong = await asyncio.to_thread(ceems_grpc, "probe", "feed", f"127.0.0.1:{server.port}")
        assert wrong.returncode == 1
        assert "Nothing answers as a feed" in wrong.stderr


def test_a_feeder_answers_with_its_metrics() -> None:
    FeedMetrics("probed")
    server, thread = start_http_server(0, "127.0.0.1")
    try:
        address = f"127.0.0.1:{server.server_port}"
        assert ceems_grpc("probe", "feed", address).returncode == 0
        assert ceems_grpc("probe", "server", address, "--timeout", "2").returncode == 1
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_other_pages_are_no_feeder() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the library has it
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        done = ceems_grpc("probe", "feed", f"127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
    assert done.returncode == 1
    assert "not the metrics of a feeder" in done.stderr


@pytest.mark.parametrize("what", ["server", "feed"])
def test_where_nothing_listens_it_fails(what: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = ceems_grpc("probe", what, address)
    assert done.returncode == 1
    assert f"Nothing answers as a {what} at {address}" in done.stderr


@pytest.mark.parametrize("what", ["server", "feed"])
def test_what_does_not_answer_in_time_fails(what: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = ceems_grpc("probe", what, f"127.0.0.1:{silent.getsockname()[1]}", "--timeout", "0.3")
    assert done.returncode == 1
    assert "timed out" in done.stderr


def test_an_address_without_a_port_is_refused() -> None:
    done = ceems_grpc("probe", "server", "localhost")
    assert done.returncode == 1
    assert "write HOST:PORT" in done.stderr

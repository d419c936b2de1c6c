import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ceems_grpc.cli import host as host_module
from ceems_grpc.cli.errors import CommandError
from ceems_grpc.cli.host import PluginHost
from ceems_grpc.cli.output.decoded_frame import decode, notices
from ceems_grpc.pb import pluginv2_pb2

NOW = datetime.now(UTC)
START = NOW - timedelta(days=60)


def _host(path: Path) -> PluginHost:
    return PluginHost({"path": str(path)}, "admin")


def test_asks_a_real_plugin(database: Path) -> None:
    with _host(database) as host:
        assert host.handshake.startswith("1|2|unix|/")
        socket = Path(host.handshake.split("|")[3])
        assert socket.is_socket()
        health = host.check_health()
        assert health.status == pluginv2_pb2.CheckHealthResponse.OK
        assert json.loads(health.jsonDetails)["units"] == 800
        frames = host.query({"queryType": "units", "admin": True, "running": True, "limit": 7}, START, NOW)
        (frame,) = decode(frames)
        assert (frame.name, frame.num_rows) == ("units", 7)
        assert notices([frame]) == (
            "Only the first 7 units are shown; there are more. Narrow the question, or raise the limit.",
        )
        energy = next(column for column in frame.columns if column.title == "total_energy_usage_kwh.total")
        assert energy.unit == "kwatth"
        assert host.stop() == 0
    assert not socket.exists()


def test_errors_come_with_the_log(database: Path) -> None:
    with _host(database) as host, pytest.raises(CommandError) as caught:
        host.query({"queryType": "nonsense"}, START, NOW)
    assert "Invalid enum value 'nonsense'" in str(caught.value)
    assert "plugin started" in str(caught.value)


def test_a_plugin_that_does_not_start(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "_ENVIRONMENT", {})
    with pytest.raises(CommandError) as caught, _host(database):
        pass
    assert "ended before its handshake" in str(caught.value)
    assert "Grafana starts it" in str(caught.value)


def test_a_plugin_that_dies(database: Path) -> None:
    with _host(database) as host:
        assert host.check_health().status == pluginv2_pb2.CheckHealthResponse.OK
        assert host._process is not None
        os.kill(host._process.pid, signal.SIGKILL)
        host._process.wait()
        assert host.stop() == -signal.SIGKILL

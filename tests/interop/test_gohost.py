"""The Go host reports dying plugins and invalid requests correctly, and a skipped test says why."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

import tests.support.go_host
from tests.support.go_host import FrameDecoder, PluginHost, go_host
from tests.support.places import ROOT

ECHO = (sys.executable, "-m", "tests.support.plugin.echo")


def test_without_go_the_tests_are_skipped_and_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.skip.Exception, match="Go is not installed"):
        go_host()


def test_a_decoder_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    silent = tmp_path / "host"
    silent.write_text("#!/bin/sh\nexec sleep 300\n")
    silent.chmod(0o755)
    monkeypatch.setattr(tests.support.go_host, "go_host", lambda: silent)
    monkeypatch.setattr(tests.support.go_host, "_DECODE_SECONDS", 0.2)
    decoder = FrameDecoder()
    with pytest.raises(RuntimeError, match="ended with -9"):
        decoder.decode("json", b"{}")
    with pytest.raises(AssertionError, match="ended with -9"):
        decoder.__exit__()


def test_a_plugin_that_was_killed_answers_unavailable_and_did_not_end_cleanly() -> None:
    with PluginHost(ECHO, cwd=ROOT) as host:
        os.kill(host.started["pid"], signal.SIGKILL)
        assert host.ask("health")["rpc_error"]["code"] == "Unavailable"
    assert host.exit["code"] == -1


def test_calls_that_nobody_waits_for_do_not_hold_up_the_end() -> None:
    with PluginHost(ECHO, cwd=ROOT) as host:
        host.send("query", queries=[{"ref_id": "A", "model": {"do": "wait"}}])
    assert host.exit == {"code": 0, "graceful": True}


def test_a_misspelt_request_fails_loudly() -> None:
    host = PluginHost(ECHO, cwd=ROOT)
    with pytest.raises(RuntimeError, match='unknown field "usre"'), host:
        host.ask("health", usre="alice")


def test_an_op_that_does_not_exist_fails_loudly() -> None:
    with PluginHost(ECHO, cwd=ROOT) as host, pytest.raises(RuntimeError, match='knows no op "helth"'):
        host.ask("helth")


@pytest.mark.parametrize("auto_mtls", [False, True])
def test_the_environment_is_passed_on(auto_mtls: bool) -> None:
    with PluginHost(ECHO, cwd=ROOT, env={"GF_PLUGIN_NOTE": "a=b c"}, auto_mtls=auto_mtls) as host:
        assert b"GF_PLUGIN_NOTE" in host.ask("resource", path="x")["body"]

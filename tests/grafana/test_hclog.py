"""Logs in the format that Grafana reads."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceems_grpc.grafana.serve.telemetry.logs import HclogFormatter, log_fields
from tests.support.plugin.process import Asker, running

LEVELS = {"trace": 5, "debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


def line(level: int = logging.INFO, message: str = "m", extra: dict[str, Any] | None = None, **rest: Any) -> Any:
    logger = logging.getLogger("test.hclog")
    record = logger.makeRecord(logger.name, level, "f.py", 1, message, (), rest.get("error"), extra=extra)
    written = HclogFormatter().format(record)
    assert "\n" not in written
    return json.loads(written)


@pytest.mark.parametrize(("name", "level"), [*LEVELS.items(), ("error", logging.CRITICAL)])
def test_levels_have_hclogs_names(name: str, level: int) -> None:
    assert line(level)["@level"] == name


@given(
    message=st.text(),
    extra=st.dictionaries(st.text(min_size=1).map(lambda name: f"field {name}"), st.text() | st.integers() | st.none()),
)
def test_message_and_fields_arrive_on_one_line(message: str, extra: dict[str, Any]) -> None:
    written = line(message=message, extra=extra)
    assert written["@message"] == message
    assert {name: written[name] for name in extra} == extra


def test_module_and_time() -> None:
    before = datetime.now(UTC)
    written = line()
    assert written["@module"] == "test.hclog"
    # The format that HashiCorp's reader parses: six decimals and a zone.
    moment = datetime.strptime(written["@timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert before <= moment <= datetime.now(UTC)


def test_an_exception_is_a_field() -> None:
    try:
        raise ValueError("no\nline")
    except ValueError:
        written = line(logging.ERROR, error=sys.exc_info())
    assert written["error"] == "ValueError('no\\nline')"
    assert "test_an_exception_is_a_field" in written["stacktrace"]


def test_fields_of_a_request_are_on_its_lines_only() -> None:
    with log_fields(requestId="1"), log_fields(refId="A"):
        assert (line()["requestId"], line()["refId"]) == ("1", "A")
        assert line(extra={"refId": "own"})["refId"] == "own"
    assert "requestId" not in line()


@pytest.mark.parametrize(
    ("environment", "logged"),
    [({}, False), ({"GF_PLUGIN_LOG_LEVEL": "debug"}, True), ({"GF_LOG_LEVEL": "DEBUG"}, True)],
)
async def test_the_level_comes_from_grafana_ini(environment: dict[str, str], logged: bool) -> None:
    async with running(environment=environment) as plugin:
        await plugin.call("Data.QueryData", Asker().queries(A={"do": "echo"}))
        plugin.process.terminate()
        await plugin.ended()
        answered = [one for one in plugin.log() if one["@message"] == "answered"]
        assert bool(answered) == logged


async def test_secrets_are_never_logged() -> None:
    async with running(environment={"GF_PLUGIN_LOG_LEVEL": "trace"}) as plugin:
        asker = Asker(secure_json={"token": "hunter2"})
        await plugin.call("Data.QueryData", asker.queries(A={"do": "break"}, B={"do": "echo"}))
        plugin.process.terminate()
        await plugin.ended()
        assert plugin.log()
        assert b"hunter2" not in plugin.standard_error

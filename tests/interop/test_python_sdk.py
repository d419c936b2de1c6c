"""The example data source, which uses ceems_grpc.grafana alone, run by Grafana's own Go code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from ceems_grpc import grafana
from tests.support.go_host import PluginHost
from tests.support.places import ROOT

EXAMPLE = ROOT / "examples" / "random_walk.py"
PAGE = ROOT / "docs" / "python-sdk.md"


@pytest.fixture(scope="module")
def host() -> Iterator[PluginHost]:
    with PluginHost([sys.executable, EXAMPLE], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}) as running:
        yield running


def values(response: dict[str, Any]) -> list[list[Any]]:
    assert not response.get("error"), response
    (frame,) = response["frames"]
    return [field["values"] for field in frame["fields"]]


def test_a_walk_is_drawn_over_the_panels_time_range(host: PluginHost) -> None:
    response = host.query({"seed": 7})
    (frame,) = response["frames"]
    assert [(field["name"], field["labels"] or {}) for field in frame["fields"]] == [
        ("time", {}),
        ("walk", {"seed": "7"}),
    ]
    assert frame["meta"]["type"] == "timeseries-wide"
    assert frame["fields"][1]["config"] == {"unit": "watt"}
    times, walk = values(response)
    assert (len(times), times[0], times[-1]) == (1000, 0, 3_596_400 * 1_000_000)
    assert all(abs(after - before) <= 1 for before, after in pairwise(walk))


def test_the_settings_and_the_query_count(host: PluginHost) -> None:
    small = {"uid": "small", "name": "small", "json_data": {"step": 0.001}}
    (_, walk), (_, other) = values(host.query({"seed": 1})), values(host.query({"seed": 2}))
    assert walk != other
    assert max(map(abs, values(host.query({"seed": 1}, data_source=small))[1])) <= 1
    assert host.ask("health", data_source=small)["message"] == "Ready to walk in steps of 0.001."


def test_a_wrong_query_is_refused(host: PluginHost) -> None:
    response = host.query({"seed": "x"})
    assert (response["status"], response["error"]) == (400, "The seed must be a whole number.")


def test_what_the_example_does_not_have_is_refused_by_default(host: PluginHost) -> None:
    assert host.ask("resource", path="any")["code"] == 404
    assert host.ask("subscribe", path="any")["status"] == "NOT_FOUND"
    assert host.ask("publish", path="any")["status"] == "NOT_FOUND"


def test_the_page_shows_the_example() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code == EXAMPLE.read_text()


def test_the_page_lists_all_names() -> None:
    listed = set(re.findall(r"`(\w+)`", PAGE.read_text().split("## Names")[1].split("## Try")[0]))
    assert listed - {"ceems_grpc"} == set(grafana._HOMES)
    assert all(getattr(grafana, name).__doc__ for name in listed - {"ceems_grpc", "Factory"})


def test_what_type_checkers_see_is_what_there_is() -> None:
    assert grafana.__file__
    with open(grafana.__file__) as file:  # noqa: PTH123
        imports = [node for node in ast.walk(ast.parse(file.read())) if isinstance(node, ast.ImportFrom)]
    seen = {name.name: node.module for node in imports for name in node.names if name.asname}
    assert seen == grafana._HOMES
    with pytest.raises(AttributeError, match="no attribute 'serving'"):
        _ = grafana.serving


def test_nothing_is_loaded_before_it_is_used() -> None:
    program = (
        "import sys; from ceems_grpc.grafana import PluginError\n"
        "print(sorted(name for name in ('pyarrow', 'grpc', 'msgspec', 'prometheus_client') if name in sys.modules))"
    )
    written = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert written.stdout == "[]\n"

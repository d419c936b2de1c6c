"""Shared by tests of the package in a bare root: the root with the plugin, the host, and questions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plugin_facts import program_name

from tests.package.bare.root import NOBODY, BareRoot
from tests.support.go_host import PluginHost

PLUGINS = "/données/plug ins/ceems-ceems-datasource"  # any letters
YEAR = {"from_ms": 1_735_689_600_000, "to_ms": 1_767_225_600_000}
# The environment that Grafana 12.4 gives to a plugin's process; go-plugin adds more.
_GRAFANA = {"GF_VERSION": "12.4.0", "GF_EDITION": "OSS", "GF_INSTANCE_FEATURE_TOGGLES_ENABLE": ""}


def writable(folder: Path) -> Path:
    """Make a folder that the process in the root may write to; return it."""
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return folder


@contextmanager
def hosted(root: BareRoot, sockets: Path, **environment: str) -> Iterator[PluginHost]:
    """Run the plugin in the root, as Grafana does."""
    root.shared.append(sockets)
    command = root.command(f"{PLUGINS}/{program_name()}")
    env = {**_GRAFANA, "PLUGIN_UNIX_SOCKET_DIR": str(sockets), **environment}
    with PluginHost(command, env=env) as running:
        yield running


def ask(host: PluginHost, source: dict[str, Any], *models: dict[str, Any], user: str = "admin") -> list[Any]:
    """Return the responses to queries about a year."""
    queries = [{"ref_id": ref_id, "model": model, **YEAR} for ref_id, model in zip("ABCD", models, strict=False)]
    responses = host.ask("query", user=user, data_source=source, queries=queries)["responses"]
    return [responses[query["ref_id"]] for query in queries]


def rows(response: dict[str, Any]) -> int:
    """Return the number of rows of a response, which must have no error."""
    assert not response.get("error"), response
    return sum(frame["rows"] for frame in response["frames"])

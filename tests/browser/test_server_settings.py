"""A data source on another host, set up in a real browser and tried against a real server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser.database import Database
from tests.browser.editors import Editors
from tests.support.bridge_servers import CEEMS, Files
from tests.support.places import ROOT

REFUSED_HEALTH = r"^400 .*/health$"


@contextmanager
def server(files: Files, database: Path) -> Iterator[int]:
    """Run a server until the block ends; yield its port."""
    command = [*CEEMS, "--listen", "127.0.0.1:0", *files.tls, *files.tokens, "--database", str(database)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr
            entries = (json.loads(line) for line in process.stderr)
            started = next(entry for entry in entries if entry["@message"] == "server started")
            yield int(started["address"].rpartition(":")[2])
        finally:
            process.terminate()


def test_address_token_and_authority_that_are_typed_work(editors: Editors, database: Database, tmp_path: Path) -> None:
    files = Files(tmp_path)
    editors.allowed.append(REFUSED_HEALTH)
    with server(files, database.path) as port:
        editors.grafana.json_data = {}
        editors.open("config")
        editors.choose("Where it is", "A server on another host")
        editors.fill("Address", f"localhost:{port}")
        editors.click("button", "Save & test")
        kind, words = editors.alert()
        assert kind == "error"
        assert "was signed by an authority, " in words
        assert "O=Test authority, that is not known here" in words

        editors.fill("CA certificate", files.authority.certificate)
        editors.click("button", "Save & test")
        editors.tab.until(lambda: "the token is missing" in editors.alert()[1], "missing token")
        editors.fill("Token", files.token)
        editors.screenshot("config-server")
        editors.click("button", "Save & test")
        editors.tab.until(lambda: editors.alert()[0] == "success", "success")
        assert f"Answered by localhost:{port}" in editors.alert()[1]
        assert editors.grafana.json_data == {"address": f"localhost:{port}"}
        assert set(editors.grafana.secure_json) == {"caCert", "token"}

        editors.open("query", stored={"limit": 3, "admin": False, "fields": ["uuid"]})
        editors.run()

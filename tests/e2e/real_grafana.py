"""A Grafana of this machine that runs the plugin of dist/ with a demo database; see `make e2e`."""

import http.cookiejar
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.places import ROOT
from tests.support.ports import free_port

PASSWORD = "admin"
PLUGIN_ID = json.loads((ROOT / "plugin.json").read_text("utf-8"))["id"]
_PATIENCE = 180.0  # seconds that Grafana may take to start: it first makes its own database


@dataclass(frozen=True)
class Answer:
    """An answer of Grafana. ``json``: its body; None if that is not JSON."""

    status: int
    json: Any


@dataclass
class RealGrafana:
    """A running Grafana. ``url`` has no slash at its end; ``database``: the demo database of its data source."""

    url: str
    database: Path
    version: str = ""
    _jar: http.cookiejar.CookieJar = field(default_factory=http.cookiejar.CookieJar)

    def sign_in(self, user: str = "admin", password: str = PASSWORD) -> None:
        """Sign in; further requests are this user's."""
        answer = self.ask("POST", "/login", {"user": user, "password": password})
        assert answer.status == 200, answer

    def cookie(self) -> str:
        """Return the value of the session's cookie."""
        return next(str(cookie.value) for cookie in self._jar if cookie.name == "grafana_session")

    def ask(self, method: str, path: str, body: object = None, *, signed_in: bool = True) -> Answer:
        """Send a request with a JSON body. Errors of Grafana are answers, too."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        jar = self._jar if signed_in else http.cookiejar.CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        try:
            with opener.open(request, timeout=60) as answer:
                return Answer(answer.status, _json(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _json(error.read()))

    def add_data_source(self, name: str, **settings: object) -> str:
        """Add a data source for the demo database; return its uid."""
        body = {
            "name": name,
            "uid": name,
            "type": PLUGIN_ID,
            "access": "proxy",
            "jsonData": {"path": str(self.database), **settings},
        }
        answer = self.ask("POST", "/api/datasources", body)
        assert answer.status == 200, answer
        return name

    def query(self, model: dict[str, Any], *, days: int = 30, uid: str = "ceems") -> dict[str, Any]:
        """Ask a query as a panel does; return the result of it."""
        now = int(time.time() * 1000)
        query = {"refId": "A", "datasource": {"uid": uid}, "maxDataPoints": 500, "intervalMs": 3_600_000, **model}
        body = {"queries": [query], "from": str(now - days * 86_400_000), "to": str(now)}
        answer = self.ask("POST", "/api/ds/query", body)
        result: dict[str, Any] = answer.json["results"]["A"]
        return result


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of all frames of a result."""
    found = []
    for frame in result.get("frames", []):
        names = [each["name"] for each in frame["schema"]["fields"]]
        found += [dict(zip(names, row, strict=True)) for row in zip(*frame["data"]["values"], strict=True)]
    return found


@contextmanager
def running(folder: Path) -> Iterator[RealGrafana]:
    """Run the Grafana of ``GRAFANA_HOME`` (or of PATH) with dist/; it ends with the block."""
    database = folder / "ceems" / "ceems.db"
    database.parent.mkdir()
    made = [sys.executable, "-m", "ceems_grpc", "demo-db", str(database), "--units", "5000"]
    subprocess.run(made, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=300)
    port = free_port()
    command = [sys.executable, "-m", "grafana.run_grafana", "--port", str(port), "--database", str(database)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "packaging")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    grafana = RealGrafana(f"http://127.0.0.1:{port}", database)
    try:
        grafana.version = _version(grafana, process)
        grafana.sign_in()
        yield grafana
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _version(grafana: RealGrafana, process: subprocess.Popen[bytes]) -> str:
    """Wait until Grafana answers; return its version."""
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            return str(grafana.ask("GET", "/api/health").json["version"])
        except OSError:
            time.sleep(0.5)
    process.terminate()
    _, said = process.communicate(timeout=60)
    raise RuntimeError(f"Grafana did not start: {said.decode(errors='replace')}")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None

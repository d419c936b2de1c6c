"""Stands in for systemctl when a page's commands are run: it really starts the unit that the page installed.

`daemon-reload` does nothing; `restart` and `enable --now` start units of this project by their ExecStart, with nothing
of the caller's environment, and wait for READY=1 where the unit is of type notify. Services of other projects (Grafana,
ceems_api_server) are recorded in a file. Reads its folders and the replaced names from STAND_IN, a JSON file.
"""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    facts = json.loads(Path(os.environ["STAND_IN"]).read_text())
    verb, *names = [argument for argument in arguments if argument != "--now"]
    if verb not in {"daemon-reload", "restart", "enable"}:
        raise SystemExit(f"there is no stand-in for systemctl {verb}")
    for name in names:
        if name in {"grafana-server", "ceems_api_server"}:
            with Path(facts["restarted"]).open("a") as file:
                file.write(f"{name}\n")
        else:
            _start(Path(facts["units"]) / f"{name}.service", facts)
    return 0


def _start(unit: Path, facts: dict[str, Any]) -> None:
    text = unit.read_text().replace("\\\n", " ")
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    for name, here in facts["replaced"].items():
        command = re.sub(name, here, command)
    log = Path(facts["processes"]) / f"{unit.stem}.log"
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        path = f"{folder}/notify"
        ready.bind(path)
        environment = {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": path}
        with log.open("wb") as output:
            process = subprocess.Popen(
                shlex.split(command), env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        log.with_suffix(".pid").write_text(str(process.pid))
        if "Type=notify" in text:
            ready.settimeout(30)
            while b"READY=1" not in ready.recv(4096):
                pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make grafana`: runs the Grafana of this machine with the plugin and a demo database, until Ctrl-C.

Everything is in a temporary folder, which is removed at the end; --keep leaves it.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from plugin_facts import DIST, program_name

from grafana.grafana_home import Grafana, GrafanaError, configure, find_grafana

_USER = "admin"
_START_SECONDS = 120.0
_STOP_SECONDS = 15.0
_LAST_LINES = 20


def main() -> int:
    """Run Grafana; return 0 once it is stopped. If it cannot run, say why on standard error and return 1."""
    options = _parse()
    for number in (signal.SIGINT, signal.SIGTERM):  # even if the calling script ignores Ctrl-C
        signal.signal(number, signal.default_int_handler)
    try:
        grafana = find_grafana(os.environ)
        _require_free(options.port)
        return _run(grafana, options)
    except GrafanaError as error:
        sys.stderr.write(f"{str(error).rstrip()}\n")
        return 1
    except KeyboardInterrupt:
        return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run_grafana", description=__doc__)
    parser.add_argument("--port", type=int, default=3000, help="port on 127.0.0.1 (default 3000)")
    parser.add_argument("--password", default="admin", help="password of the user admin (default admin)")
    parser.add_argument("--database", type=Path, help="a database of CEEMS (default: a demo database)")
    parser.add_argument("--units", type=int, default=20_000, help="units in the demo database (default 20000)")
    parser.add_argument("--plugin", type=Path, default=DIST, help="the plugin's folder (default dist/)")
    parser.add_argument("--keep", action="store_true", help="leave the folder with Grafana's data and logs")
    return parser.parse_args()


def _run(grafana: Grafana, options: argparse.Namespace) -> int:
    program = options.plugin.resolve() / program_name()
    if not program.is_file():
        raise GrafanaError(f"There is no {program}: run make dist first.")
    folder = Path(tempfile.mkdtemp(prefix="ceems-grafana-"))
    try:
        database = options.database.resolve() if options.database else _demo_database(program, folder, options.units)
        config = configure(
            folder, plugin=options.plugin, database=database, port=options.port, user=_USER, password=options.password
        )
        return _serve(grafana, config, options)
    finally:
        if options.keep:
            _say(f"Grafana's data and logs are in {folder}.")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _demo_database(program: Path, folder: Path, units: int) -> Path:
    database = folder / "ceems" / "ceems.db"
    database.parent.mkdir()
    command = [str(program), "demo-db", str(database), "--units", str(units)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    if made.returncode:
        raise GrafanaError(f"The demo database could not be written:\n{made.stdout}{made.stderr}")
    return database


def _serve(grafana: Grafana, config: Path, options: argparse.Namespace) -> int:
    # In its own process group: Ctrl-C reaches only this script, which then stops Grafana properly.
    process = subprocess.Popen(grafana.command(config), cwd=grafana.home, start_new_session=True)  # noqa: S603 - as found
    try:
        _wait_until_ready(process, config, options.port)
        _say(f"Grafana: http://127.0.0.1:{options.port}/dashboards  user {_USER}, password {options.password}")
        _say("Ctrl-C stops it.")
        code = process.wait()
        raise GrafanaError(f"Grafana ended with code {code}.\n{_end_of_log(config)}")
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], config: Path, port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise GrafanaError(f"Grafana ended with code {process.returncode} as it started.\n{_end_of_log(config)}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise GrafanaError(f"Grafana did not answer within {_START_SECONDS:.0f} s.\n{_end_of_log(config)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise GrafanaError(
                f"Port {port} of 127.0.0.1 cannot be used ({error.strerror}): "
                "choose another with make grafana GRAFANA_OPTIONS='--port 3001'."
            ) from None


def _end_of_log(config: Path) -> str:
    log = config.parent / "logs" / "grafana.log"
    if not log.is_file():
        return "It wrote no log."
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-_LAST_LINES:])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

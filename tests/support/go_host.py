"""Builds the Go host program and talks to it.

    with FrameDecoder() as decoder:
        report = decoder.decode("arrow", frame.to_arrow())

    with PluginHost([sys.executable, "-m", "some_plugin"]) as host:
        answer = host.ask("health", user="alice")

Requests are described in host/request.go, answers in host/services.go and host/frames.go. Where Go is not installed the
tests that need it are skipped, and say so.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pytest

from tests.support.finished import finished
from tests.support.places import ROOT

HOST_FOLDER = ROOT / "tests" / "interop" / "host"
BUILD_FOLDER = ROOT / "build" / "interop"
_BUILD_SECONDS = 540.0  # without a cache of compiled packages, on a busy machine
_DECODE_SECONDS = 60.0
_STOP_SECONDS = 60.0  # go-plugin itself kills a plugin that does not end
_SOURCES = ("*.go", "go.mod", "go.sum")

Answer = dict[str, Any]


def go_host() -> Path:
    """Return the host program, built once for its current sources; other test processes wait for the one that builds.

    Skips the calling test where Go is not installed. Raises RuntimeError with the compiler's message if it does not
    build.
    """
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed: the plugin was not tried against Grafana's Go SDK (see go.dev/dl)")
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _SOURCES for path in HOST_FOLDER.glob(pattern)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    program = BUILD_FOLDER / f"host-{digest.hexdigest()[:16]}"
    if program.exists():
        return program
    BUILD_FOLDER.mkdir(parents=True, exist_ok=True)
    with (BUILD_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(go, program)
    return program


def _build(go: str, program: Path) -> None:
    unfinished = program.with_suffix(".part")
    command = [go, "build", "-mod=readonly", "-o", str(unfinished), "."]
    built = finished(command, cwd=HOST_FOLDER, timeout=_BUILD_SECONDS)
    if built.returncode:
        raise RuntimeError(f"the Go host does not build:\n{built.stdout}{built.stderr}")
    for old in BUILD_FOLDER.glob("host-*"):
        if old != unfinished:
            old.unlink()
    unfinished.rename(program)


class FrameDecoder:
    """One running `host decode`: what Grafana's SDK reads from an encoded frame. A context manager."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([go_host(), "decode"], stdin=pipe, stdout=pipe, text=True)

    def decode(self, format_name: str, frame: bytes) -> Answer:
        """Decode a frame in format "arrow" or "json".

        The answer has `frame` (name, ref_id, meta, rows, fields with name, type, labels, config and values), `again`
        (the SDK's own JSON of that frame) and, for Arrow, `direct` (the SDK's JSON of the file). Raises ValueError with
        the SDK's message if it cannot read the frame.
        """
        stdin, stdout = _pipes(self._process)
        stdin.write(json.dumps({"format": format_name, "frame": base64.b64encode(frame).decode()}) + "\n")
        stdin.flush()
        overdue = threading.Timer(_DECODE_SECONDS, self._process.kill)  # a pipe has no time limit of its own
        overdue.start()
        try:
            line = stdout.readline()
        finally:
            overdue.cancel()
        if not line:
            raise RuntimeError(f"the Go host ended with {self._process.wait(_STOP_SECONDS)}")
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def __enter__(self) -> FrameDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        stdin, stdout = _pipes(self._process)
        stdin.close()
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait(_STOP_SECONDS)
        stdout.close()
        assert code == 0, f"the Go host ended with {code}"


class PluginHost:
    """A plugin started by go-plugin as Grafana starts it, and asked over gRPC. A context manager.

    `command` is the plugin's executable and arguments. The plugin's environment is `env` and what go-plugin adds,
    nothing else, as in Grafana. `auto_mtls` asks for mutual TLS. Several threads may ask at the same time.

    `started` has pid, protocol, network, address and start_ms; `log` the lines of the plugin's and go-plugin's log,
    which are JSON objects; `exit`, once the context is left, {"code": int, "graceful": bool}. Leaving the context
    cancels calls that nobody waits for.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        auto_mtls: bool = False,
        cwd: Path | None = None,
        start_timeout: float = 30,
    ) -> None:
        options = ["-start-timeout", f"{start_timeout}s"]
        self._start_seconds = start_timeout + _STOP_SECONDS
        if auto_mtls:
            options.append("-mtls")
        if cwd is not None:
            options += ["-dir", str(cwd)]
        for name, value in (env or {}).items():
            options += ["-env", f"{name}={value}"]
        self._arguments = [str(go_host()), "run", *options, *map(str, command)]
        self.log: list[str] = []
        self.started: Answer = {}
        self.exit: Answer = {}

    def __enter__(self) -> PluginHost:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._arguments, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, queue.SimpleQueue[Answer]] = {}
        self._ended = False
        self._log_reader = threading.Thread(target=self._read_log, daemon=True)
        self._log_reader.start()
        with self._ending_after(self._start_seconds):
            line = _pipes(self._process)[1].readline()
        self.started = json.loads(line) if line else {"op": "failed", "error": "the host ended at once"}
        if self.started["op"] != "started":
            with self._ending_after(_STOP_SECONDS):
                self._close_pipes()
            raise RuntimeError(f"the plugin did not start: {self.started['error']}\n{self.log_text()}")
        self._answer_reader = threading.Thread(target=self._read_answers, daemon=True)
        self._answer_reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number in list(self._waiting):
            self._write({"id": next(self._ids), "op": "cancel", "target": number})
        _pipes(self._process)[0].close()
        with self._ending_after(_STOP_SECONDS):
            self._answer_reader.join()
            self._close_pipes()
        if kind is None and not self.exit:
            raise RuntimeError(f"the Go host ended with {self._process.returncode}\n{self.log_text()}")

    def ask(self, op: str, *, timeout: float = 60, **request: Any) -> Answer:
        """Send a request and wait for its answer; see `send` and `wait`."""
        return self.wait(self.send(op, **request), timeout=timeout)

    def query(self, model: object, *, timeout: float = 60, **request: Any) -> Answer:
        """Ask one query (refId A, the given JSON model) and return its response: frames, error, status, ..."""
        queries = [{"ref_id": "A", "model": model, "from_ms": 0, "to_ms": 3_600_000, "max_data_points": 1000}]
        response: Answer = self.ask("query", timeout=timeout, queries=queries, **request)["responses"]["A"]
        return response

    def send(self, op: str, **request: Any) -> int:
        """Send a request without waiting; returns its id, for `wait` and `cancel`. `body` and `object` are bytes."""
        for name in ("body", "object"):
            if name in request:
                request[name] = base64.b64encode(request[name]).decode()
        number = next(self._ids)
        with self._lock:
            self._waiting[number] = queue.SimpleQueue()
        if not self._write({"id": number, "op": op, **request}):
            raise RuntimeError(f"the Go host has ended\n{self.log_text()}")
        return number

    def wait(self, number: int, *, timeout: float = 60) -> Answer:
        """Return the answer to a request. A gRPC error is in it as `rpc_error` (`code`, `message`).

        Raises RuntimeError if the SDK cannot read what the plugin said, or the host ended; TimeoutError after `timeout`
        seconds. A resource's `body` comes back as bytes.
        """
        try:
            answer = self._waiting[number].get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no answer to request {number} in {timeout} s\n{self.log_text()}") from None
        finally:
            with self._lock:
                del self._waiting[number]
        if "host_error" in answer:
            raise RuntimeError(f"{answer['host_error']}\n{self.log_text()}")
        if "body" in answer:
            answer["body"] = base64.b64decode(answer["body"])
        return answer

    def cancel(self, number: int) -> bool:
        """Cancel a running call, as a closed panel does; False if no call has that id."""
        return bool(self.ask("cancel", target=number)["found"])

    def log_text(self) -> str:
        """Return the last lines of the log, for messages."""
        return "".join(self.log[-30:])

    def _write(self, request: Answer) -> bool:
        """Write a request; False if the host has ended."""
        stdin = _pipes(self._process)[0]
        with self._lock:
            if self._ended:
                return False
            try:
                stdin.write(json.dumps(request) + "\n")
                stdin.flush()
            except BrokenPipeError:
                return False
        return True

    def _read_log(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        for line in stderr:
            self.log.append(line)

    def _read_answers(self) -> None:
        for line in _pipes(self._process)[1]:
            answer: Answer = json.loads(line)
            if answer["op"] == "exited":
                self.exit = {"code": answer["code"], "graceful": answer["graceful"]}
                continue
            with self._lock:
                waiting = self._waiting.get(answer["id"])
            if waiting is not None:
                waiting.put(answer)
        with self._lock:
            self._ended = True
            for waiting in self._waiting.values():
                waiting.put({"host_error": "the Go host ended before it answered"})

    @contextmanager
    def _ending_after(self, seconds: float) -> Iterator[None]:
        """Kill the host and the plugin if the block takes longer, so that no process keeps the pipes open."""
        timer = threading.Timer(seconds, self._kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _close_pipes(self) -> None:
        stdin, stdout = _pipes(self._process)
        stdin.close()
        self._process.wait()
        self._log_reader.join()
        stdout.close()
        if self._process.stderr is not None:
            self._process.stderr.close()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout

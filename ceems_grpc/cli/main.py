"""Commands and their options. Each is imported only when it runs: `serve` must start fast."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from ceems_grpc.store.runtime.umask import keep_new_files_private
from ceems_grpc.version import PLUGIN_ID, VERSION

if TYPE_CHECKING:
    import argparse


def run(arguments: Sequence[str]) -> int:
    """Run a command and return the exit code of the process: 0 done, 1 failed, 2 wrong usage."""
    if not arguments or list(arguments) == ["serve"]:
        return _serve()
    if arguments[0] == "fill-mirror":  # the packaged program starts this to fill a large mirror
        from ceems_grpc.store.duckdb.fill import main as fill_mirror  # noqa: PLC0415

        status = fill_mirror(list(arguments[1:]))
        sys.stderr.flush()
        os._exit(status)  # a thread that watches the parent must not keep the process alive
    from ceems_grpc.cli.errors import CommandError  # noqa: PLC0415 - not for `serve`
    from ceems_grpc.cli.options.parse import parse  # noqa: PLC0415 - not for `serve`
    from ceems_grpc.cli.output.escaping import visible_lines  # noqa: PLC0415 - not for `serve`

    options = parse(VERSION, arguments)
    if options.command == "serve":
        return _serve()
    try:
        return _run(options)
    except CommandError as error:
        print(f"ceems-grpc {options.command}: {visible_lines(str(error))}", file=sys.stderr)  # noqa: T201 - a person reads it
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails to flush at exit
        return 0


def _run(options: argparse.Namespace) -> int:
    logging.getLogger("ceems_grpc").addHandler(logging.NullHandler())  # errors are printed, not logged
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the locale cannot encode must not end the command
            stream.reconfigure(errors="backslashreplace")
    command = import_module(f"ceems_grpc.cli.{options.command.replace('-', '_')}")
    code: int = command.run(options)
    sys.stdout.flush()
    return code


def _serve() -> int:
    from ceems_grpc.grafana.serve.memory import use_one_allocator  # noqa: PLC0415 - not for other commands

    use_one_allocator()  # before Arrow is loaded
    keep_new_files_private()
    from ceems_grpc.bridge.create_datasource import create_datasource  # noqa: PLC0415 - not for other commands
    from ceems_grpc.grafana.serve.process import serve_plugin  # noqa: PLC0415 - not for other commands

    code = asyncio.run(serve_plugin(create_datasource, name="CEEMS for Grafana", version=VERSION, plugin_id=PLUGIN_ID))
    if "grafana_plugin_type" not in os.environ:
        print("\nTo see what it does without Grafana, run: ceems-grpc --help", file=sys.stderr)  # noqa: T201
    return code

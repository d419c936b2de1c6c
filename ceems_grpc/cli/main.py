"""Commands and their options. Each is imported only when it runs: `serve` must start fast."""

import argparse
import asyncio
from collections.abc import Sequence

from ceems_grpc.version import VERSION


def run(arguments: Sequence[str]) -> int:
    """Run a command and return the exit code of the process."""
    if not arguments or arguments[0] == "serve":
        return _serve()
    options = _parser().parse_args(arguments)
    code: int = options.run(options)
    return code


def _serve() -> int:
    from ceems_grpc.datasource import open_datasource  # noqa: PLC0415
    from ceems_grpc.plugin.serve import serve  # noqa: PLC0415

    return asyncio.run(serve(open_datasource, name="CEEMS for Grafana", version=VERSION))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ceems-grpc", description="CEEMS for Grafana")
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_subparsers(required=True)
    return parser

"""The options of `ceems-grpc probe`."""

import argparse

_DESCRIPTION = """\
Check whether a server or a feeder answers, as the health check of a container. The exit code is 0 if it does,
otherwise 1.

No secret is sent, and the server's certificate is not verified: probe only addresses of the same host or container.

examples:
  ceems-grpc probe server 127.0.0.1:9443
  ceems-grpc probe feed 127.0.0.1:9105
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=("server", "feed"), help="what listens there: a server, or a feeder's metrics")
    parser.add_argument("address", metavar="HOST:PORT", help="the address of --listen, or of --metrics")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S", help="seconds to wait (default 5)")

"""What Grafana runs, and what `ceems-grpc` is."""

import sys


def main() -> int:
    """Run a command; see `ceems-grpc --help`."""
    from ceems_grpc.cli.main import run  # noqa: PLC0415 - nothing is loaded before it is needed

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

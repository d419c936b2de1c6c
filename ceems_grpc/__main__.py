"""What Grafana runs, and what `ceems-grpc` is."""

import sys


def main() -> int:
    """Run a command; see `ceems-grpc --help`."""
    import ceems_grpc.grafana.serve  # noqa: F401, PLC0415 - keeps gRPC's log quiet; must come before gRPC
    from ceems_grpc.cli.main import run  # noqa: PLC0415 - nothing is loaded before it is needed

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

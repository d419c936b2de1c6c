"""What Grafana runs, and what `ceems-grpc` is."""

import os
import sys


def main() -> int:
    """Run a command; see `ceems-grpc --help`."""
    # gRPC's own log shows texts of the other side as they are, ends of lines among them: whoever connects could write
    # lines into ours. It looks at this when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from ceems_grpc.cli.main import run  # noqa: PLC0415 - nothing is loaded before it is needed

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

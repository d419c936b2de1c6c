"""A `ceems-grpc server` of an older version, which speaks an older protocol."""

import sys
from unittest.mock import patch

from ceems_grpc.bridge import gate
from ceems_grpc.cli.main import run
from ceems_grpc.store.remote.protocol import PROTOCOL

with patch.object(gate, "PROTOCOL", PROTOCOL - 1), patch.object(gate, "VERSION", "0.0.1"):
    sys.exit(run(["server", *sys.argv[1:]]))

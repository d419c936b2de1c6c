"""A `ceems-grpc server` of another version: it speaks another protocol."""

import sys
from unittest.mock import patch

from ceems_grpc.bridge import gate
from ceems_grpc.cli.main import run

with patch.object(gate, "PROTOCOL", 0), patch.object(gate, "VERSION", "0.0.1"):
    sys.exit(run(["server", *sys.argv[1:]]))

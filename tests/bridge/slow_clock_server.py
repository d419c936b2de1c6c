"""A `ceems-grpc server` on a host whose clock is ten minutes behind."""

import sys
import time
from unittest.mock import patch

from ceems_grpc.cli.main import run

_true_time = time.time_ns

with patch.object(time, "time_ns", lambda: _true_time() - 600 * 10**9):
    sys.exit(run(["server", *sys.argv[1:]]))

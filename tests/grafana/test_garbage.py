"""Full passes of the garbage collector skip what belongs to libraries, and nothing else."""

import subprocess
import sys

SCRIPT = """
import gc, weakref
from ceems_grpc.grafana.serve.garbage import freeze_libraries

class Ring:
    def __init__(self):
        self.itself = self

freeze_libraries()
start = gc.get_freeze_count()
assert start > 1_000, start
ring = weakref.ref(Ring())
kept = Ring()
gc.collect()
assert ring() is None
assert gc.get_freeze_count() == start  # no library was loaded
import xml.dom.minidom, unittest.mock
ring = weakref.ref(Ring())
gc.collect()
assert ring() is None
grown = gc.get_freeze_count()
assert grown > start + 1_000, (start, grown)
gc.collect()
assert gc.get_freeze_count() == grown
ring = weakref.ref(Ring())
gc.collect()
assert ring() is None
"""


def test_libraries_are_frozen_and_garbage_is_not() -> None:
    finished = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert not finished.returncode, finished.stderr

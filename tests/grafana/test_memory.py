"""Memory that large answers used is returned to the system."""

import subprocess
import sys

_PROGRAM = """
import asyncio, pathlib
from ceems_grpc.grafana.serve import memory

memory.use_one_allocator()
import pyarrow as pa

def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

async def main():
    blocks = [bytearray(60_000) for _ in range(4_000)]  # as many as make 230 MiB, none of which is mapped by itself
    last = bytearray(60_000)  # so that the heap does not shrink by itself
    del blocks
    kept = resident()
    memory.answered(SIZE)
    for _ in range(100):
        await asyncio.sleep(0.1)
        if resident() < kept - 150:
            break
        if SIZE < 1_000_000 and _ == 15:
            break
    print(pa.default_memory_pool().backend_name, kept - resident() > 150, len(last))

asyncio.run(main())
"""


def _run(size: int) -> list[str]:
    program = _PROGRAM.replace("SIZE", str(size))
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def test_a_large_answer_leaves_nothing_behind() -> None:
    assert _run(50_000_000) == ["system", "True", "60000"]


def test_a_small_answer_is_not_tidied_up_after() -> None:
    assert _run(5_000) == ["system", "False", "60000"]

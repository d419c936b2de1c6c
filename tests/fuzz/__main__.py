"""Run the fuzz harnesses repeatedly with different seeds, until the time is over or one of them fails.

python -m tests.fuzz [--seconds 600] [pytest arguments, such as tests/fuzz/test_wal.py]
"""

import argparse
import secrets
import subprocess
import sys
import time


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    options, arguments = parser.parse_known_args()
    ends = time.monotonic() + options.seconds
    rounds = 0
    while time.monotonic() < ends:
        seed = secrets.randbits(32)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--hypothesis-profile=fuzz"]
        status = subprocess.run(
            [*command, f"--hypothesis-seed={seed}", *(arguments or ["tests/fuzz"])], check=False
        ).returncode
        rounds += 1
        if status:
            sys.stdout.write(f"failed with seed {seed}; add the input that is printed above to tests/fuzz/corpus\n")
            return status
    sys.stdout.write(f"{rounds} rounds, nothing found\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Paths in the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
SYNTHETIC = GOLDEN / "synthetic.db"
"""The database that the recorded answers come from."""

"""Tests with many clients at the same time, next to a process that keeps writing."""

"""Tests of the DuckDB mirror: it answers as the live file does, and it follows the file."""

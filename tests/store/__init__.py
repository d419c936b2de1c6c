"""Tests of reading live SQLite files with all versions of the schema."""

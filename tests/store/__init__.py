"""Tests of reading live SQLite files, of all versions of the schema."""

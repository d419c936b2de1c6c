"""Tests of the demo database and its schema."""

"""Tests of failures of the database, its mirror and the process, on the real process."""

"""Tests of panel queries and of live channels."""

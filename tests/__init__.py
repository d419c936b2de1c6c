"""All tests of the Python code; docs/testing.md describes each folder."""

"""Tests against answers that were recorded from the reference server."""

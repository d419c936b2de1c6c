"""The CEEMS REST API: from a URL to JSON."""

"""The CEEMS REST API: a URL in, JSON out."""

"""Tests of the REST API of a running plugin: access, HTTP, caching and settings."""

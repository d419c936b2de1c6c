"""Copies the database of a site into PostgreSQL and follows its changes."""

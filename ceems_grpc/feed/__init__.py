"""Feeds the database of a site into PostgreSQL, and goes on with every change."""

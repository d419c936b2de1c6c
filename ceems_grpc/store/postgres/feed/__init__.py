"""Writes CEEMS databases into PostgreSQL."""

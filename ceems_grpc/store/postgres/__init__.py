"""CEEMS databases in PostgreSQL, as a store."""

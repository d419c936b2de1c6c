"""Copy CEEMS databases into PostgreSQL."""

"""Real PostgreSQL servers, and databases in them."""

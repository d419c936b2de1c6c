"""The column mirror of a live database in DuckDB, as a store."""

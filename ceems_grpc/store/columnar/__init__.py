"""The column layout that the mirror and PostgreSQL share, and JSON columns as Arrow."""

"""How commands print answers: decoded frames, tables, charts, CSV and JSON."""

"""CEEMS for Grafana: a backend data source plugin that answers from the database of CEEMS."""

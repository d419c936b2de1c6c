"""Logs, metrics and traces of the process, in the forms that Grafana reads."""

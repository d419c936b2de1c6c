"""Dashboards as a whole: the file, template variables and references to data sources."""

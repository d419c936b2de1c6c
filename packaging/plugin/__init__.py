"""Builds the plugin's folder and zip, and checks them against the rules of Grafana and its catalogue."""

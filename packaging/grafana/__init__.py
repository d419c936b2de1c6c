"""Runs the plugin in dist/ in the Grafana that is installed on this machine."""

"""A Grafana of this machine that runs the plugin in dist/."""

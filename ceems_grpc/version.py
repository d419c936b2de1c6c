"""The name and the version of the plugin. No other file states them."""

VERSION = "0.1.0"
PLUGIN_ID = "ceems-ceems-datasource"
"""What this plugin is called in Grafana; plugin.json says the same."""

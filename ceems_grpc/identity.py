"""What this plugin is called in Grafana; plugin.json says the same."""

PLUGIN_ID = "ceems-ceems-datasource"

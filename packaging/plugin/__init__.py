"""The plugin's folder and zip: what Grafana and its catalogue ask for."""

"""The package in a root folder that holds nothing but the plugin and its data."""

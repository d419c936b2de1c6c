"""Tests of the dashboards that ship with the plugin."""

"""Settings of a data source (its jsonData), of its sources, and of the plugin (from grafana.ini)."""

from ceems_grpc.settings.allowed_paths import PluginSettings, SettingsError, plugin_settings
from ceems_grpc.settings.data_source import Settings

__all__ = ["PluginSettings", "Settings", "SettingsError", "plugin_settings"]

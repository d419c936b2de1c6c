"""The one place that states the version; plugin.json, the package and the process report it."""

VERSION = "0.1.0"

"""Panels: targets, transformations, display settings and data links."""

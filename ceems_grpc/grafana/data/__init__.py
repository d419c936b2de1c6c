"""Data frames: their fields, display settings and metadata, and their Arrow and JSON forms."""

"""The live CEEMS database file as a store."""

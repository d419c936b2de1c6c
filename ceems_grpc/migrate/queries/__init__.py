"""Queries: what an Infinity query asks the CEEMS API, and the query of ours that asks the same."""

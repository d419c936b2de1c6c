"""Keeps a copy of a live database as it is: fills it, and brings it up to date."""

"""Keep a copy of a live database current: fill it once, then apply the changes."""

"""Rules that hold in every dialect of SQL."""

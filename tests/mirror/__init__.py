"""The column mirror against the live file that it follows."""

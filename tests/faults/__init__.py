"""What can befall a database, its mirror and the process, each on the real process."""

"""Permissions of the files that a process creates."""

import os


def keep_new_files_private() -> None:
    """Let only the user of this process read the files that it creates from now on: they hold the rows of all users."""
    os.umask(0o077)

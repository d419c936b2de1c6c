"""Permissions of the files that a process creates."""

import os


def keep_new_files_private() -> None:
    """Let only this process's user read the files that it creates from now on: they hold rows of everybody."""
    os.umask(0o077)

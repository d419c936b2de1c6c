"""Errors of a command, for the person who typed it."""


class CommandError(Exception):
    """The command cannot do what was asked; the message is a sentence for standard error. The exit code is 1."""


def missing_extra(module: str) -> CommandError:
    """Make the error for a library of the ``terminal`` extra that is not installed."""
    return CommandError(
        f"This command prints with the Python library '{module}', which is not installed. Install the "
        f"package's extra 'terminal': pip install {module} (in a checkout: make setup)."
    )

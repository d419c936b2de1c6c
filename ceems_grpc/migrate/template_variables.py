"""Template variables of Grafana in texts: ``$name``, ``${name}``, ``${name:format}``, ``[[name]]``."""

import re

VARIABLE = re.compile(
    r"\$\{([\w-]+)((?:\.[^:^}]+)?)(?::([^}]*))?\}|\$([A-Za-z_]\w*)|\[\[(\w+)(?:\.[^:^\]]+)?(?::([^\]]*))?\]\]"
)
_KEPT_FORMATS = {"text"}  # the displayed text, which may differ from the value
_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060"))


def clean(text: str) -> str:
    """Remove surrounding white space, and invisible characters that copying may have left in a text."""
    return text.translate(_INVISIBLE).strip()


def without_formats(text: str) -> str:
    """Remove formats such as ``:csv`` from variables: in lists of our queries each value is an item of its own."""

    def plain(match: re.Match[str]) -> str:
        name, path, form = match[1] or match[5], match[2] or "", match[3] or match[6]
        if form is None or form in _KEPT_FORMATS or name is None or name.startswith("__"):
            return match[0]
        return f"${{{name}{path}}}"

    return VARIABLE.sub(plain, text)


def is_variable(text: str) -> bool:
    """Return whether a text consists of one variable."""
    return VARIABLE.fullmatch(text) is not None


def has_variable(text: str) -> bool:
    """Return whether a text holds a variable."""
    return VARIABLE.search(text) is not None


def variable_name(text: str) -> str | None:
    """Return the name of the variable that a text consists of; None for any other text."""
    match = VARIABLE.fullmatch(text)
    return None if match is None else match[1] or match[4] or match[5]

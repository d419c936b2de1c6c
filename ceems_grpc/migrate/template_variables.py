"""Texts with template variables, as Grafana writes them: ``$name``, ``${name}``, ``${name:format}``, ``[[name]]``."""

import re

VARIABLE = re.compile(
    r"\$\{([\w-]+)((?:\.[^:^}]+)?)(?::([^}]*))?\}|\$([A-Za-z_]\w*)|\[\[(\w+)(?:\.[^:^\]]+)?(?::([^\]]*))?\]\]"
)
_KEPT_FORMATS = {"text"}  # the shown text, which is another value
_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060"))


def clean(text: str) -> str:
    """Drop white space around a text, and the invisible characters that copying leaves inside."""
    return text.translate(_INVISIBLE).strip()


def without_formats(text: str) -> str:
    """Drop formats such as ``:csv`` from variables: lists of our queries take each value of a variable by itself."""

    def plain(match: re.Match[str]) -> str:
        name, path, form = match[1] or match[5], match[2] or "", match[3] or match[6]
        if form is None or form in _KEPT_FORMATS or name is None or name.startswith("__"):
            return match[0]
        return f"${{{name}{path}}}"

    return VARIABLE.sub(plain, text)


def is_variable(text: str) -> bool:
    """Tell whether a text is one variable and nothing else."""
    return VARIABLE.fullmatch(text) is not None


def has_variable(text: str) -> bool:
    """Tell whether a text holds a variable."""
    return VARIABLE.search(text) is not None


def variable_name(text: str) -> str | None:
    """Return the name of the variable that a text is; None if it is anything else."""
    match = VARIABLE.fullmatch(text)
    return None if match is None else match[1] or match[4] or match[5]

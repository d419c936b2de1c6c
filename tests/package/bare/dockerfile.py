"""Reads the parts of Dockerfiles that this repository uses: stages, copies, users, entry points, health checks."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass
class Stage:
    """The contents of a stage's image, including those of its base stage.

    ``copied``: sources in the context by their path in the image. ``user`` is "UID:GID".
    """

    base: str
    copied: dict[str, str] = field(default_factory=dict)
    user: str = ""
    entrypoint: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)


def read_dockerfile(path: Path, **arguments: str) -> dict[str, Stage]:
    """Return the stages by name. ``arguments`` are the build arguments that builders set, such as TARGETARCH."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for name, value in arguments.items():
        text = text.replace(f"${{{name}}}", value)
    stages: dict[str, Stage] = {}
    for line in text.splitlines():
        keyword, _, rest = line.partition(" ")
        words = rest.split()
        if keyword == "FROM":
            base, _, name = words
            stage = stages[base] if base in stages else Stage(base)
            stages[name] = stage = replace(stage, base=base, copied=dict(stage.copied))
        elif keyword == "COPY" and not words[0].startswith("--from"):
            stage.copied[words[1]] = words[0]
        elif keyword == "USER":
            stage.user = rest
        elif keyword == "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        elif keyword == "HEALTHCHECK":
            stage.healthcheck = json.loads(rest.partition("CMD ")[2])
    return stages

"""How much memory this process may use by its cgroup or the machine, and how much it uses."""

import os
from pathlib import Path

_OF_GROUP = 0.75  # Grafana may run in the same container
_OF_MACHINE = 0.5
_NONE = 1 << 60  # cgroup v1 writes a number near 2**63 for "no limit"


def default_limit(root: Path) -> int:
    """Return the bytes that the process may use: three quarters of its cgroup's limit, or half of the machine.

    ``root``: the folder that holds ``proc`` and ``sys``.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    group = cgroup_limit(root)
    return int(machine * _OF_MACHINE if group is None else min(group * _OF_GROUP, machine * _OF_MACHINE))


def cgroup_limit(root: Path) -> int | None:
    """Return the smallest memory limit of the process's cgroup and the groups above it; None if there is none."""
    found: list[int] = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        folder = base / path.lstrip("/")
        # In a container the path can be that of the host. The group is then at the base.
        groups = [group for group in (folder, *folder.parents) if group.is_relative_to(base)]
        found += [_number(_text(group / name)) for group in groups]
    return min((limit for limit in found if limit < _NONE), default=None)


def own_memory() -> int:
    """Return the bytes that the process uses and the system cannot take back; 0 if the system does not tell."""
    fields = _text(Path("/proc/self/statm")).split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def _number(text: str) -> int:
    return int(text) if text.strip().isdigit() else _NONE


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

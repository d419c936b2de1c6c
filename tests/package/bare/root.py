"""A root folder that holds nothing but the plugin and its data, and how a process is started in it."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.finished import finished

NOBODY = 65534
_SECCOMP = Path(__file__).with_name("seccomp.py")
_DEVICES = (Path("/dev/null"), Path("/dev/urandom"))


@dataclass
class BareRoot:
    """A folder that becomes a process's root: read-only, with a small /tmp from which nothing can be executed.

    ``shared``: folders of this machine that the process can read and write, under the same path in its root.
    ``seen``: folders and files that it can read, by their path in its root. ``has_devices``: whether it has the two
    devices that every host and container has. ``user``: the number of the user and group that a program runs as, if
    root runs the tests.
    """

    folder: Path
    shared: list[Path] = field(default_factory=list)
    seen: dict[str, Path] = field(default_factory=dict)
    has_devices: bool = True
    user: int = NOBODY

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command that runs a program of this root in it, under a filter of system calls.

        A test that is run by root starts it as the root's user; other tests as whoever runs them.
        """
        steps = ['mount --bind "$R" "$R"', 'mount -t tmpfs -o size=1m,noexec,nosuid,nodev none "$R/tmp"']
        for inside, outside in self.seen.items():
            steps += [f"mount --bind '{outside}' \"$R{inside}\"", f'mount -o remount,bind,ro "$R{inside}"']
            self._make(inside, outside)
        for device in _DEVICES if self.has_devices else ():
            steps.append(f'mount --bind {device} "$R{device}"')
            self._make(str(device), device)
        for outside in self.shared:
            steps += [f'mkdir -p "$R{outside}"', f"mount --bind '{outside}' \"$R{outside}\""]
        self._make("/tmp", self.folder)
        steps += ['chmod 1777 "$R/tmp"', 'mount -o remount,bind,ro "$R"']
        is_root = os.geteuid() == 0
        chroot = [_tool("chroot"), *([f"--userspec={self.user}:{self.user}"] if is_root else [])]
        script = " && ".join([*steps, 'exec "$@"'])
        return [
            *(_tool("unshare"), "-m" if is_root else "-rm", "/bin/sh", "-euc", f"R='{self.folder}'; {script}", "sh"),
            *(sys.executable, str(_SECCOMP), *chroot, str(self.folder), program, *arguments),
        ]

    def write(self, inside: str, text: str) -> None:
        """Write a file of the root."""
        path = self.folder / inside.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Return the output of a program of the root, which must exit with 0."""
        done = finished(self.command(program, *arguments), env=environment or {})
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _make(self, inside: str, outside: Path) -> None:
        place = self.folder / inside.lstrip("/")
        if outside.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()


def new_root(folder: Path, *, busybox: bool) -> BareRoot:
    """Return a root with busybox and devices, or with nothing at all.

    Skips the calling test where a process cannot have a root and mounts of its own.
    """
    if sys.platform != "linux":
        pytest.skip("not tried in a bare root: only Linux has one")
    private = "-m" if os.geteuid() == 0 else "-rm"
    if finished([_tool("unshare"), private, "true"]).returncode:
        pytest.skip("not tried in a bare root: this system lets no process have mounts of its own")
    folder.mkdir(parents=True)
    root = BareRoot(folder, has_devices=busybox)
    if busybox:
        (folder / "bin").mkdir()
        shutil.copy(_tool("busybox"), folder / "bin" / "busybox")
        (folder / "bin" / "sh").symlink_to("busybox")
    return root


def open_to_all(folder: Path) -> None:
    """Let every user of the machine read a folder, and the folders above it be searched."""
    for path in [folder, *folder.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode | (0o555 if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0o444))


def _tool(name: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"not tried in a bare root: {name} is not installed")
    return path

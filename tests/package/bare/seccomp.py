"""Runs a command under a filter of system calls as containers have by default.

python seccomp.py COMMAND ARGUMENTS

Calls that the default profiles of Docker and containerd refuse to a process without capabilities fail with EPERM here,
and clone3 fails with ENOSYS, as in older profiles. The list has only the calls that a program is likely to try.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

# include/uapi/linux/{prctl,seccomp,bpf_common,filter,audit}.h
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBERS = {
    "x86_64": {
        "clone3": 435, "ptrace": 101, "syslog": 103, "kexec_load": 246, "keyctl": 250, "add_key": 248,
        "perf_event_open": 298, "name_to_handle_at": 303, "open_by_handle_at": 304, "kcmp": 312, "bpf": 321,
        "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "acct": 163,
        "swapon": 167, "reboot": 169, "init_module": 175, "quotactl": 179, "lookup_dcookie": 212, "vmsplice": 278,
        "mbind": 237, "set_mempolicy": 238, "get_mempolicy": 239, "move_pages": 279, "process_vm_readv": 310,
    },
    "aarch64": {
        "clone3": 435, "ptrace": 117, "syslog": 116, "kexec_load": 104, "keyctl": 219, "add_key": 217,
        "perf_event_open": 241, "name_to_handle_at": 264, "open_by_handle_at": 265, "kcmp": 272, "bpf": 280,
        "userfaultfd": 282, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "acct": 89,
        "swapon": 224, "reboot": 142, "init_module": 105, "quotactl": 60, "vmsplice": 75, "mbind": 235,
        "set_mempolicy": 237, "get_mempolicy": 236, "move_pages": 239, "process_vm_readv": 270,
    },
}  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _filter() -> tuple[int, bytes]:
    parts = [_instruction(_LOAD, 0, 0, 0)]  # the number of the call
    for name, number in _NUMBERS[platform.machine()].items():
        error = errno.ENOSYS if name == "clone3" else errno.EPERM
        parts += [_instruction(_JUMP_EQUAL, 0, 1, number), _instruction(_RETURN, 0, 0, _ERRNO | error)]
    parts.append(_instruction(_RETURN, 0, 0, _ALLOW))
    return len(parts), b"".join(parts)


def main(command: list[str]) -> None:
    """Install the filter on this process, and replace the process with the command."""
    libc = ctypes.CDLL(None, use_errno=True)
    length, instructions = _filter()
    program = _Program(length, instructions)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the filter of system calls was refused")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Executes a command that may not use some system calls, as in a container whose seccomp profile forbids them (EPERM).

python denying.py ptrace,seccomp COMMAND...
"""

from __future__ import annotations

import os
import struct
import sys

from wnohang.contain import kernel

# By machine: AUDIT_ARCH of linux/audit.h, and the numbers of the calls there.
MACHINES = {
    "x86_64": (0xC000003E, {"ptrace": 101, "seccomp": 317}),
    "aarch64": (0xC00000B7, {"ptrace": 117, "seccomp": 277}),
}
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCH = 0, 4
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001


def deny(names: list[str]) -> None:
    """From here on, in this process and all it starts."""
    arch, numbers = MACHINES[os.uname().machine]
    steps = [(_LOAD, 0, 0, _ARCH), (_JUMP_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _NUMBER)]
    for name in names:
        steps += [(_JUMP_EQUAL, 0, 1, numbers[name]), (_RETURN, 0, 0, _REFUSE)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    kernel.filter_system_calls(b"".join(struct.pack("HBBI", *step) for step in steps))


if __name__ == "__main__":
    deny(sys.argv[1].split(","))
    os.execvp(sys.argv[2], sys.argv[2:])

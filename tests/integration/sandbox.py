# SPDX-License-Identifier: MIT
"""A sandbox as coding agents have them: a seccomp filter makes socket(AF_UNIX, ...) fail, for the command and all it starts.

    python3 sandbox.py ERRNO COMMAND [ARGUMENT]...
"""

import ctypes
import os
import struct
import sys

SOCKET_NUMBER = {"x86_64": 41, "aarch64": 198}
AF_UNIX = 1
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
RETURN_ERRNO, RETURN_ALLOW = 0x00050000, 0x7FFF0000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF
NUMBER_AT, FIRST_ARGUMENT_AT = 0, 16  # in struct seccomp_data


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def within(errno=1):
    """What to put before a command; EPERM is what bubblewrap's and Docker's filters give."""
    return [sys.executable, __file__, str(errno)]


def enter(errno):
    instructions = [
        (LOAD, 0, 0, NUMBER_AT), (JUMP_IF_EQUAL, 0, 3, SOCKET_NUMBER[os.uname().machine]),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT), (JUMP_IF_EQUAL, 0, 1, AF_UNIX),
        (RETURN, 0, 0, RETURN_ERRNO | errno), (RETURN, 0, 0, RETURN_ALLOW),
    ]
    text = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(text)
    program = Program(len(instructions), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((PR_SET_NO_NEW_PRIVS, 1, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))):
        if libc.prctl(*words, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    enter(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])

# SPDX-License-Identifier: MIT
"""Processes with a pid of our choice, as a reused pid is one: clone3(2) with set_tid, which root may."""

import ctypes
import errno
import os
import signal
import struct

_SYS_CLONE3 = 435
_LIBC = ctypes.CDLL(None, use_errno=True)


def fork_as(pid):
    """As os.fork(), and the child has that pid, which nobody may have now. The child may only wait, exec or _exit."""
    wanted = ctypes.c_int(pid)
    arguments = ctypes.create_string_buffer(
        struct.pack("11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(wanted), 1, 0), 88)
    child = _LIBC.syscall(_SYS_CLONE3, arguments, 88)
    if child < 0:
        raise OSError(ctypes.get_errno(), f"pid {pid} cannot be had: {os.strerror(ctypes.get_errno())}")
    return child


def spawn_as(pid):
    """A process of that pid that does nothing until it is killed."""
    child = fork_as(pid)
    if not child:
        signal.pause()
        os._exit(0)
    return child


def can_choose_pids():
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    try:
        child = spawn_as(pid)
    except OSError as error:
        return error.errno not in (errno.EPERM, errno.ENOSYS, errno.EINVAL)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True

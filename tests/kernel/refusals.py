"""System calls that a sandbox refuses: a seccomp(2) filter in a process of one's own, as containers have it."""

from __future__ import annotations

import ctypes
import os
import struct

from ovlctl.kernel.libc import check, function

STATMOUNT = 457
LISTMOUNT = 458
# Numbers of older calls differ by architecture (asm/unistd.h).
STATX = {"x86_64": 332, "aarch64": 291}.get(os.uname().machine)
NAME_TO_HANDLE_AT = {"x86_64": 303, "aarch64": 264}.get(os.uname().machine)

# linux/prctl.h, linux/seccomp.h, linux/bpf_common.h
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_RET_ERRNO = 0x00050000
_RET_ALLOW = 0x7FFF0000
_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K


def refuse(number: int, *calls: int) -> None:
    """Make *calls* fail with errno *number* in this process from now on, for good. For children only.

    Args:
        number: What they fail with.
        calls: Their numbers on this architecture.
    """
    # The first word of struct seccomp_data is the number of the call.
    steps = [(_LOAD_WORD, 0, 0, 0)]
    for call in calls:
        steps += [(_JUMP_IF_EQUAL, 0, 1, call), (_RETURN, 0, 0, _RET_ERRNO | number)]
    steps.append((_RETURN, 0, 0, _RET_ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    prctl = function(
        "prctl", ctypes.c_int, ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong
    )
    check(prctl(_PR_SET_NO_NEW_PRIVS, 1, None, 0, 0))
    check(prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0))

"""Memory that is used again: glibc is told to keep large blocks instead of handing them back to the system.

By default it fetches every block of over 32 MB anew, page by page, and that can take more time than the network's work
in it (most of all on virtual machines). One call for the whole process, made when a network is put on a CPU; the
environment variable MMFUSE_ALLOCATOR=system switches it off.
"""

from __future__ import annotations

import ctypes
import os
import platform

VARIABLE = "MMFUSE_ALLOCATOR"
KEEP, SYSTEM = "keep", "system"

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE, _MOST = 2**30, 2**31 - 1


def keep_large_blocks() -> str:
    """Tells the allocator, unless it is switched off or is not glibc's; what is on, in words. Calling it again changes
    nothing."""
    asked = os.environ.get(VARIABLE, KEEP)
    if asked != KEEP:
        return f"as the system has it ({VARIABLE}={asked})"
    if platform.libc_ver()[0] != "glibc":
        return "as the system has it (it is not glibc's)"
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return "as the system has it (mallopt is not there)"
    done = mallopt(_M_MMAP_THRESHOLD, _LARGE) and mallopt(_M_TRIM_THRESHOLD, _MOST)
    return f"keeps large blocks (off: {VARIABLE}={SYSTEM})" if done else "as the system has it (glibc refuses)"

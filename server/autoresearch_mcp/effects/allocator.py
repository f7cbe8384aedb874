"""What the C library does with memory that was freed."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Their names in glibc's malloc.h are M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""

_BYTES = 128 * 1024
"""Where glibc begins with both, before it raises them."""


def return_freed_memory() -> None:
    """Have glibc give freed memory back to the system for as long as the process lives.

    Left alone it raises its thresholds with the largest block that was ever freed, and then keeps
    up to twice as much in each thread's arena: a server that reads long ledgers for a night takes
    several MB more and more, of which it uses nothing. Does nothing where there is no glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _BYTES)
        mallopt(_MMAP_THRESHOLD, _BYTES)

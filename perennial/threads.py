"""What a thread needs to end, made ready while there is memory for it."""

from __future__ import annotations

import ctypes


def prepare() -> None:
    """End a thread as libraries in C do (OpenMP's, of XGBoost and torch): by `pthread_exit`.

    At the first such end glibc loads what unwinds a thread's stack, libgcc_s. Where memory has run
    out by then, it ends the process with words that name the library and not the memory. What was
    loaded stays, in forked processes, too.
    """
    libc = ctypes.CDLL(None)
    thread = ctypes.c_ulong()
    code = libc.pthread_create(ctypes.byref(thread), None, libc.pthread_exit, None)
    if code:
        raise OSError(code, "no thread can be started")
    libc.pthread_join(thread, None)

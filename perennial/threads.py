"""Threads: one per process for computing, and a library that threads need to end, loaded early."""

from __future__ import annotations

import ctypes

# Set in the environment of computing processes, before numpy is imported. Several processes run at
# once, and with more threads each would spend most of its time waiting. The Makefile exports these.
ONE_EACH = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def prepare() -> None:
    """Load libgcc_s now, by ending a thread with `pthread_exit` as OpenMP does (XGBoost, torch).

    glibc loads libgcc_s, which unwinds a thread's stack, at the first such end. If memory has run
    out by then, glibc ends the process with a message about the library, not about memory. Once
    loaded, the library stays, also in forked processes.

    Raises:
        OSError: If no thread can be started.
    """
    libc = ctypes.CDLL(None)
    thread = ctypes.c_ulong()  # docs/decisions/security.md: what happens without this thread
    code = libc.pthread_create(ctypes.byref(thread), None, libc.pthread_exit, None)
    if code:
        raise OSError(code, "no thread can be started")
    libc.pthread_join(thread, None)

"""Threads of a process: one to compute on, and what each needs to end, made ready in time."""

from __future__ import annotations

import ctypes

# In the environment of whatever computes, before numpy is imported: processes work side by side,
# and threads of one would wait for each other longer than they work. The Makefile exports the same.
ONE_EACH = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def prepare() -> None:
    """End a thread as libraries in C do (OpenMP's, of XGBoost and torch): by `pthread_exit`.

    At the first such end glibc loads what unwinds a thread's stack, libgcc_s. Where memory has run
    out by then, it ends the process with words that name the library and not the memory. What was
    loaded stays, in forked processes, too.
    """
    libc = ctypes.CDLL(None)
    thread = ctypes.c_ulong()  # docs/decisions/security.md: what happens without this thread
    code = libc.pthread_create(ctypes.byref(thread), None, libc.pthread_exit, None)
    if code:
        raise OSError(code, "no thread can be started")
    libc.pthread_join(thread, None)

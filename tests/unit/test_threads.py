"""A thread that ends while memory is exhausted does not abort the process."""

import signal
import subprocess
import sys

import pytest

from perennial.settings import REPOSITORY

# Allocates all memory but one thread's stack, and ends a thread as OpenMP does.
PROGRAM = """
import ctypes, resource, sys
from perennial import threads

if sys.argv[1] == "prepared":
    threads.prepare()
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 30 * 2**20,) * 2)
stack, taken, size = ctypes.create_string_buffer(8 * 2**20 + 2**15), [], 2**20
while size >= 16:
    try:
        taken.append(ctypes.create_string_buffer(size))
    except MemoryError:
        size //= 2
del stack
threads.prepare()
"""


@pytest.mark.parametrize(("how", "code"), [("prepared", 0), ("bare", -signal.SIGABRT)])
def test_a_thread_ends_without_memory_if_what_it_needs_is_there(how: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    if code:
        assert "libgcc_s.so.1 must be installed for pthread_exit to work" in done.stderr

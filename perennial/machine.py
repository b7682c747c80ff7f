"""One line with the remedy for what a machine refuses: no room, no right, too many open files."""

from __future__ import annotations

import errno
import re
import shutil

REMEDIES = {
    errno.ENOSPC: "the disk is full: make room (`df -h`), then run the same command again",
    errno.EDQUOT: "the quota is used up: make room, then run the same command again",
    errno.EROFS: "the disk is read-only: PERENNIAL_HOME=<folder> puts the home elsewhere",
    errno.EACCES: "permission denied: run the command as the user who owns it, or choose another "
    "home (PERENNIAL_HOME=<folder>)",
    errno.EPERM: "not permitted: run the command as the user who owns it, or choose another home "
    "(PERENNIAL_HOME=<folder>)",
    errno.EMFILE: "too many open files: allow more (`ulimit -n 4096`)",
    errno.ENFILE: "too many open files on this machine: end the processes that hold them",
    errno.ENOTDIR: "one of the folders in it is a file: check PERENNIAL_HOME and TO",
    errno.ENAMETOOLONG: "the name is too long for a file: check FILES, TO and PERENNIAL_HOME",
    errno.EIO: "the disk fails: look at the machine's log (`dmesg`)",
    errno.ENOMEM: "there is no memory left: end other processes, or give the machine more",
}


def refusal(error: OSError) -> str | None:
    """The file and the remedy, in one line; None if there is no remedy for the user."""
    number, name = error.errno, error.filename
    if isinstance(error, shutil.Error):  # a copied folder: a list with the error of each file
        (_, name, met), *_ = error.args[0]
        match = re.match(r"\[Errno (\d+)\]", str(met))
        number = int(match[1]) if match else None
    remedy = REMEDIES.get(number or 0)
    if remedy is None:
        return None
    return f"{name}: {remedy}" if name else remedy

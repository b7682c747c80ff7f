"""What a machine refuses, in a line with the remedy: no room, no right, too many open files."""

from __future__ import annotations

import errno
import re
import shutil

REMEDIES = {
    errno.ENOSPC: "the disk is full: make room (`df -h`), then give the same command again",
    errno.EDQUOT: "the quota is used up: make room, then give the same command again",
    errno.EROFS: "the disk is read-only: PERENNIAL_HOME=<folder> puts the home elsewhere",
    errno.EACCES: "permission denied: give the command as the user who owns it, or choose another "
    "home (PERENNIAL_HOME=<folder>)",
    errno.EPERM: "not permitted: give the command as the user who owns it, or choose another home "
    "(PERENNIAL_HOME=<folder>)",
    errno.EMFILE: "too many open files: allow more (`ulimit -n 4096`)",
    errno.ENFILE: "too many open files on this machine: end what holds them",
    errno.ENOTDIR: "one of the folders in it is a file: mind PERENNIAL_HOME and TO",
    errno.ENAMETOOLONG: "the name is too long for a file: mind FILES, TO or PERENNIAL_HOME",
    errno.EIO: "the disk fails: look at the machine's log (`dmesg`)",
    errno.ENOMEM: "there is no memory left: end what needs it, or give the machine more",
}


def refusal(error: OSError) -> str | None:
    """What was refused and what to do; None if it is nothing that a user can mend."""
    number, name = error.errno, error.filename
    if isinstance(error, shutil.Error):  # of a folder that was copied: what each file met with
        (_, name, met), *_ = error.args[0]
        found = re.match(r"\[Errno (\d+)\]", str(met))
        number = int(found[1]) if found else None
    remedy = REMEDIES.get(number or 0)
    if remedy is None:
        return None
    return f"{name}: {remedy}" if name else remedy

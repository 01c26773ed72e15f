"""Becomes a server that ends when the process that asked for it does, however that one ends.

Run as a script by a bare interpreter, between fork and the server's own exec: a fork of a large program with threads
should do no more than exec, and the system user must be taken on before the tie, which a change of user undoes.

    tie.py PARENT_PID SIGNAL USER COMMAND [ARGUMENT ...]       USER may be empty
"""

import ctypes
import os
import pwd
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main() -> None:
    """Takes on the user, ties itself to its parent, and becomes the command."""
    parent, death_signal, user, *command = sys.argv[1:]
    os.setsid()  # Ctrl-C is for us: we stop our servers in order
    if user:
        become(user)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent):  # it went while we tied the knot
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - to be that program is the purpose


def become(user: str) -> None:
    """Gives up root for an ordinary user."""
    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    main()

"""Starts soundcheck_diagnosis beside this file, on any Python, to say where it is too old."""

from __future__ import annotations

import contextlib
import os
import sys

OLDEST = (3, 10)
# A look takes a third of a second of CPU whatever its priority. As one among twenty that burn it would get
# that in eight seconds, with half of its questions unanswered: so for a person it comes first.
PRIORITY = -5

if sys.version_info < OLDEST:
    found = ".".join(map(str, sys.version_info[:2]))
    print("debug_cpu_spike.sh: expected Python 3.10 or newer, got " + found, file=sys.stderr)
    sys.exit(2)

# Isolated mode leaves the script's folder out.
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

if "--watch" not in sys.argv and os.geteuid() == 0:
    # Whoever bounds what root may do has a reason.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)

from soundcheck_diagnosis.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

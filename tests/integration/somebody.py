# SPDX-License-Identifier: MIT
"""Another user of this machine, who can read neither the tree nor the build."""

import os
import shutil

UID = 1001
BECOME = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]


def copy_of_berth(berth, directory):
    """The command and its library, where everybody may read them: (path, environment to run it with)."""
    os.makedirs(directory, mode=0o755, exist_ok=True)
    os.chmod(directory, 0o755)
    library = berth.parents[1] / "lib" / "libberth.so.0"
    for part in (berth, library):
        shutil.copy(part.resolve(), os.path.join(directory, part.name))
    return os.path.join(directory, berth.name), {"LD_LIBRARY_PATH": str(directory)}

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Includes point down: python3 tests/lint/layers.py [TREE] prints every one that does not, and exits 1."""

import pathlib
import re
import sys

# A folder, and the folders (or single headers) its files may include beside their own (docs/architecture.md).
# The longest folder that a file is under is the one that counts.
CLEANUP = "daemon/util/cleanup.h"  # macros and inline functions only: a client that has it links nothing of the daemon
BELOW = {
    "proto": [],
    "daemon/util": [],
    "daemon/core": ["daemon/util", "proto"],
    "daemon/seam": ["daemon/core", "daemon/util", "proto"],
    "daemon/store": ["daemon/seam", "daemon/core", "daemon/util", "proto"],
    "daemon/pg": ["daemon/seam", "daemon/core", "daemon/util", "proto"],
    "daemon/os": ["daemon/seam", "daemon/core", "daemon/util", "proto"],
    "daemon/service": ["daemon/seam", "daemon/core", "daemon/util", "proto"],
    # os: who is at the other end of a socket that the server accepted; all else of it is behind seam/env.h
    "daemon/server": ["daemon/service", "daemon/os", "daemon/seam", "daemon/core", "daemon/util", "proto"],
    "daemon": [
        "daemon/server",
        "daemon/service",
        "daemon/store",
        "daemon/pg",
        "daemon/os",
        "daemon/seam",
        "daemon/core",
        "daemon/util",
        "proto",
    ],
    "client/lib": ["proto", CLEANUP],
    "client/cli": ["client/lib", "proto", CLEANUP],
}

# A header of somebody else's, and the only files that may include it.
LIBRARIES = {
    r"(cjson/)?cJSON\.h": [r"proto/json\w*\.c"],
    r"(postgresql/)?(libpq-fe|libpq/.*|pg_config.*|postgres.*)\.h": [r"daemon/pg/.*"],
    r"sqlite3(ext)?\.h": [r"daemon/store/.*"],
    r"event2?(/.*)?\.h": [r"daemon/(os|pg|server)/.*", r"daemon/(daemon\w*|main)\.c"],
    r"(n?curses|term)\.h": [r"client/cli/screen\.c"],
    r"ini\.h": [r"daemon/config\w*\.c"],
}

# The rules have no descriptors, no threads and no clock.
PURE = ["proto", "daemon/core"]
IMPURE = r"(unistd|fcntl|poll|pthread|threads|time|signal|dirent|sys/(?!queue|types)\w+|netinet/.*)\.h"

# Where a quoted include is looked for, beside the folder of the file itself; as in CMake.
INCLUDE_FOLDERS = ["", "daemon", "client/lib"]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def layer_of(path):
    """The key of BELOW that a file belongs to, or None."""
    found = [folder for folder in BELOW if path.startswith(folder + "/")]
    return max(found, key=len, default=None)


def resolve(tree, path, included):
    """The file of ours that is meant, relative to the tree, or None."""
    for folder in [str(pathlib.PurePath(path).parent), *INCLUDE_FOLDERS]:
        candidate = (tree / folder / included).resolve()
        if candidate.is_file() and tree.resolve() in candidate.parents:
            return str(candidate.relative_to(tree.resolve()))
    return None


def check_own(layer, path, included, target):
    if target is None:
        return f"{path}: \"{included}\" is nowhere in the tree"
    if target not in BELOW[layer] and layer_of(target) not in [layer, *BELOW[layer]]:
        return f"{path}: {layer} may not include {target}"
    return None


def check_foreign(layer, path, included):
    for header, allowed in LIBRARIES.items():
        if re.fullmatch(header, included) and not any(re.fullmatch(a, path) for a in allowed):
            return f"{path}: <{included}> belongs in {' and '.join(allowed)} only"
    if layer in PURE and re.fullmatch(IMPURE, included):
        return f"{path}: {layer} is pure and may not include <{included}>"
    return None


def complaints(tree):
    """One line for each include that does not point down."""
    tree = pathlib.Path(tree)
    found = []
    for source in sorted(tree.rglob("*.[ch]")):
        path = source.relative_to(tree).as_posix()
        layer = layer_of(path)
        if layer is None:
            continue
        if layer == "daemon/seam" and path.endswith(".c"):
            found.append(f"{path}: daemon/seam is headers only")
        for kind, included in INCLUDE.findall(source.read_text()):
            target = resolve(tree, path, included)
            if kind == '"' or target:
                found.append(check_own(layer, path, included, target))
            found.append(check_foreign(layer, path, included))
    return [line for line in found if line]


if __name__ == "__main__":
    lines = complaints(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    print("\n".join(lines))
    sys.exit(1 if lines else 0)

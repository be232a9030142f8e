# SPDX-License-Identifier: MIT
"""No method and no error is in one place only, and the check that says so can fail."""

import pathlib

import methods
import pytest

TREE = pathlib.Path(__file__).parents[2]

IDL = """# A lease.
interface io.berth.lease

# Take one
# [Supports 'more' flag]
method Acquire(namespace: ?string) -> (secret: string)

# See them
# [Requires 'more' flag]
method List() -> ()

# Full
error Busy (waitedUSec: int)
"""

PROTOCOL = """#define LEASE "io.berth.lease"
#define BERTH_ERROR_BUSY    "io.berth.lease.Busy"
"""

TABLE = """#include "proto/protocol.h"
#define NAME(name) LEASE "." name
static const struct method methods[] = {
        { NAME("Acquire"), method_acquire, METHOD_HOLDS },
        {
                "io.berth.lease.List",
                method_list,
                METHOD_HOLDS | METHOD_NEEDS_MORE,
        },
        { NULL, NULL, 0 },
};
"""

FILES = {"proto/io.berth.lease.varlink": IDL, "proto/protocol.h": PROTOCOL, "daemon/server/methods.c": TABLE}

PLANTED = [
    ("proto/io.berth.lease.varlink", "method Acquire", "method Aquire", 2),
    ("proto/io.berth.lease.varlink", "error Busy", "error busy", 2),
    ("proto/io.berth.lease.varlink", "error Busy (waitedUSec: int)", "", 1),
    ("proto/io.berth.lease.varlink", "Requires 'more'", "Supports 'more'", 1),
    ("proto/protocol.h", "lease.Busy", "manage.Busy", 2),
    ("proto/protocol.h", "#define BERTH_ERROR", "#define X", 1),
    ("daemon/server/methods.c", '{ NAME("Acquire")', '{ NAME("Attach")', 2),
    ("daemon/server/methods.c", '{ NAME("Acquire"), method_acquire, METHOD_HOLDS },', "", 1),
    ("daemon/server/methods.c", '{ NAME("Acquire"), method_acquire, METHOD_HOLDS }', '/* { NAME("Acquire"), 0 } */', 1),
    ("daemon/server/methods.c", " | METHOD_NEEDS_MORE", "", 1),
]


@pytest.fixture
def tree(tmp_path):
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_the_table_of_methods_and_the_idl_agree():
    assert methods.complaints(TREE) == []


def test_a_tree_that_agrees_has_no_complaints(tree):
    assert methods.complaints(tree) == []


@pytest.mark.parametrize("path, old, new, n", PLANTED)
def test_a_planted_difference_is_found(tree, path, old, new, n):
    text = (tree / path).read_text()
    assert text.count(old) == 1
    (tree / path).write_text(text.replace(old, new))
    assert len(methods.complaints(tree)) == n

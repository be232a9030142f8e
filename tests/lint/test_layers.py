# SPDX-License-Identifier: MIT
"""The layers of docs/architecture.md hold, and the check that says so can fail."""

import pathlib

import layers
import pytest

TREE = pathlib.Path(__file__).parents[2]

SOUND = {
    "proto/names.h": "#include <stdint.h>\n",
    "proto/json.c": '#include "json.h"\n#include <cjson/cJSON.h>\n',
    "proto/json.h": "",
    "daemon/util/alloc.h": "",
    "daemon/util/cleanup.h": "",
    "daemon/os/process.h": "",
    "daemon/core/decide.c": '#include "core/decide.h"\n#include <sys/queue.h>\n',
    "daemon/core/decide.h": '#include "proto/names.h"\n#include "util/alloc.h"\n',
    "daemon/seam/pg.h": '#include "core/decide.h"\n',
    "daemon/store/sqlite.c": '#include "seam/pg.h"\n#include <sqlite3.h>\n',
    "daemon/store/store.h": "",
    "daemon/pg/pool.c": '#include "seam/pg.h"\n#include <libpq-fe.h>\n#include <event2/event.h>\n',
    "daemon/service/leases.c": '#include "service/leases.h"\n',
    "daemon/service/leases.h": '#include "seam/pg.h"\n',
    "daemon/server/server.c": '#include "os/process.h"\n#include "service/leases.h"\n#include <event2/buffer.h>\n',
    "daemon/server/server.h": "",
    "daemon/daemon.c": '#include "server/server.h"\n#include "store/store.h"\n#include <event2/event.h>\n',
    "daemon/daemon.h": "",
    "client/lib/berth.h": "",
    "client/lib/hold.c": '#include "daemon/util/cleanup.h"\n#include "berth.h"\n#include "proto/json.h"\n',
    "client/cli/main.c": '#include "client/lib/berth.h"\n#include <berth.h>\n',
    "tests/unit/test_x.c": '#include "daemon/server/server.h"\n#include <cJSON.h>\n',
}

PLANTED = [
    ("daemon/core/decide.c", '#include "service/leases.h"'),
    ("daemon/core/decide.c", '#include "../service/leases.h"'),
    ("daemon/core/decide.c", '#include "daemon/service/leases.h"'),
    ("daemon/core/decide.c", '  #  include   "service/leases.h" /* down we go */'),
    ("daemon/core/decide.c", "#include <service/leases.h>"),
    ("daemon/core/decide.c", '#include "seam/pg.h"'),
    ("daemon/core/decide.c", "#include <unistd.h>"),
    ("daemon/core/decide.c", "#include <sys/socket.h>"),
    ("daemon/core/decide.c", "#include <event2/event.h>"),
    ("daemon/util/alloc.h", '#include "proto/names.h"'),
    ("daemon/seam/pg.h", '#include "service/leases.h"'),
    ("daemon/seam/pg.c", ""),
    ("daemon/store/sqlite.c", '#include "service/leases.h"'),
    ("daemon/store/sqlite.c", "#include <libpq-fe.h>"),
    ("daemon/store/sqlite.c", "#include <event2/event.h>"),
    ("daemon/pg/pool.c", '#include "store/store.h"'),
    ("daemon/pg/pool.c", "#include <sqlite3.h>"),
    ("daemon/service/leases.c", '#include "server/server.h"'),
    ("daemon/service/leases.c", '#include "store/store.h"'),
    ("daemon/service/leases.c", '#include "os/process.h"'),
    ("daemon/service/leases.c", "#include <event2/event.h>"),
    ("daemon/service/leases.c", "#include <cjson/cJSON.h>"),
    ("daemon/server/server.c", '#include "daemon.h"'),
    ("daemon/server/server.c", '#include "store/store.h"'),
    ("daemon/server/server.c", "#include <postgresql/libpq-fe.h>"),
    ("daemon/config.c", "#include <event2/event.h>"),
    ("daemon/daemon.c", '#include "client/lib/berth.h"'),
    ("proto/names.h", '#include "util/alloc.h"'),
    ("proto/names.h", '#include "daemon/util/alloc.h"'),
    ("proto/names.h", "#include <cJSON.h>"),
    ("proto/varlink.c", "#include <cjson/cJSON.h>"),
    ("client/lib/hold.c", '#include "daemon/util/alloc.h"'),
    ("client/lib/hold.c", '#include "util/alloc.h"'),
    ("client/cli/main.c", '#include "server/server.h"'),
    ("client/cli/main.c", "#include <event2/event.h>"),
    ("client/cli/main.c", '#include "nowhere.h"'),
]


@pytest.fixture
def tree(tmp_path):
    for path, text in SOUND.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_includes_point_down():
    assert layers.complaints(TREE) == []


def test_every_folder_of_ours_has_a_layer():
    sources = [*TREE.glob("proto/**/*.[ch]"), *TREE.glob("daemon/**/*.[ch]"), *TREE.glob("client/**/*.[ch]")]
    assert sources
    assert [str(s) for s in sources if layers.layer_of(s.relative_to(TREE).as_posix()) is None] == []
    folders = {s.parent.relative_to(TREE).as_posix() for s in sources}
    assert folders <= set(layers.BELOW)


def test_a_sound_tree_has_no_complaints(tree):
    assert layers.complaints(tree) == []


@pytest.mark.parametrize("path, line", PLANTED)
def test_a_planted_include_is_found(tree, path, line):
    with open(tree / path, "a") as file:
        file.write(line + "\n")
    found = layers.complaints(tree)
    assert len(found) == 1
    assert found[0].startswith(path + ": ")

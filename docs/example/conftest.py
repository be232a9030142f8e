# SPDX-License-Identifier: MIT
import os
from contextlib import ExitStack

import psycopg2
import pytest
from library import BUILD, URLS, Library

if os.environ.get("EXAMPLE_OLD_NAMES"):
    from old_names import berth  # noqa: F401  # how it was before, to see the difference


@pytest.fixture(scope="session")
def databases(berth):
    connections = {name: psycopg2.connect(url, **berth.connect_args()) for name, url in URLS.items()}
    with ExitStack() as stack:
        for name, connection in connections.items():
            stack.enter_context(berth.schema(connection, BUILD[name]))
        yield connections


@pytest.fixture(params=["tenant1", "tenant2"])
def library(request, databases):
    library = Library(databases["platform"], databases[request.param])
    yield library
    library.clear()

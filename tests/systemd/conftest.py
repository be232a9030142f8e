# SPDX-License-Identifier: MIT
import os

import pytest

from container import Clients, Container


@pytest.fixture(scope="session")
def container():
    if os.geteuid() != 0:
        pytest.skip("a container with systemd takes root")
    made = Container()
    yield made
    made.remove()


@pytest.fixture
def clients(container):
    """clients(50, 2): they are gone at the end of the test, and their leases with them."""
    made = []

    def make(n, n_slots=0):
        made.append(Clients(container, n, n_slots))
        return made[-1]

    container.forget_starts()
    yield make
    for one in made:
        one.close()

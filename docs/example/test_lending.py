# SPDX-License-Identifier: MIT
import os
import time

import pytest
from library import AlreadyLent

SECONDS = float(os.environ.get("EXAMPLE_SECONDS", "0.3"))


def test_a_book_can_be_lent(library):
    reader, book = library.register("Ana"), library.buy("Ulysses")
    library.lend(book, reader)
    assert library.loans(reader) == 1


def test_a_lent_book_cannot_be_lent_again(library):
    ana, bo, book = library.register("Ana"), library.register("Bo"), library.buy("Emma")
    library.lend(book, ana)
    with pytest.raises(AlreadyLent):
        library.lend(book, bo)
    assert library.loans(bo) == 0


def test_a_returned_book_can_be_lent_again(library):
    ana, bo, book = library.register("Ana"), library.register("Bo"), library.buy("Momo")
    library.lend(book, ana)
    library.give_back(book)
    library.lend(book, bo)
    assert (library.loans(ana), library.loans(bo), library.history()) == (0, 1, 2)


@pytest.mark.parametrize("day", ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"])
def test_a_busy_day(library, day):
    """Works for EXAMPLE_SECONDS, so that there is a middle for a run to be killed in."""
    reader, book = library.register(day), library.buy(f"What happened on {day}")
    closing_time = time.monotonic() + SECONDS
    lent = 0
    while time.monotonic() < closing_time:
        library.lend(book, reader)
        library.commit()
        library.give_back(book)
        library.commit()
        lent += 1
        assert library.history() == lent
        time.sleep(0.01)

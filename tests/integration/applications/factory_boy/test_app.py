# SPDX-License-Identifier: MIT
import pytest
from app import Book, BookFactory


@pytest.mark.parametrize("count", [2, 3])
def test_a_test_sees_only_what_it_has_made(session, count):
    BookFactory.create_batch(count)
    session.commit()
    assert session.query(Book).count() == count

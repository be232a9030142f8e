# SPDX-License-Identifier: MIT
import pytest
from books.models import Book
from django.contrib.auth.models import User
from django.db import connections


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("title", ["Emma", "Momo", "Ulysses", "Dracula"])
def test_a_test_sees_only_what_it_has_made(title):
    for alias in connections:
        Book.objects.using(alias).create(title=title)
        assert [book.title for book in Book.objects.using(alias).all()] == [title]


@pytest.mark.django_db(transaction=True)
def test_migrations_have_run_and_a_flush_stays_in_the_schema(berth):
    User.objects.create(username="ana")
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT schemaname FROM pg_tables WHERE tablename IN ('auth_user', 'django_migrations')"
                       " AND schemaname = current_schema()")
        assert cursor.fetchall() == [(berth.worker_schema(),)] * 2


def test_a_test_without_the_mark_has_no_database():
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        User.objects.count()

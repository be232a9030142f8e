# SPDX-License-Identifier: MIT
import urllib.request

from app import BOOK


def test_the_server_sees_what_the_test_has_written_and_the_other_way_round(server, engine, berth):
    with engine.begin() as connection:
        connection.execute(BOOK.insert().values(title="Emma"))
    urllib.request.urlopen(server, data=b"Momo").read()
    count, schema, label = urllib.request.urlopen(server).read().decode().split()
    assert (int(count), schema, label) == (2, berth.worker_schema(), berth.application_name("server"))
    with engine.connect() as connection:
        assert {row.title for row in connection.execute(BOOK.select())} == {"Emma", "Momo"}

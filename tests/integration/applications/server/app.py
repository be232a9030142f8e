# SPDX-License-Identifier: MIT
"""An API over HTTP: POST a title, GET how many books there are and which schema they are in."""

import http.server
import os

import sqlalchemy as sa

URL = os.environ["APP_URL"]
METADATA = sa.MetaData()
BOOK = sa.Table("book", METADATA, sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.Text))


def make_server(engine):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            title = self.rfile.read(int(self.headers["Content-Length"])).decode()
            with engine.begin() as connection:
                connection.execute(BOOK.insert().values(title=title))
            self.answer("")

        def do_GET(self):
            with engine.connect() as connection:
                row = connection.exec_driver_sql(
                    "SELECT count(*), current_schema(), current_setting('application_name') FROM book").one()
            self.answer(" ".join(map(str, row)))

        def answer(self, text):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

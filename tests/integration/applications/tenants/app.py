# SPDX-License-Identifier: MIT
import os

import sqlalchemy as sa

URLS = {"platform": os.environ["APP_URL"], "tenant1": os.environ["APP_TENANT1_URL"],
        "tenant2": os.environ["APP_TENANT2_URL"]}


def tables(*names):
    metadata = sa.MetaData()
    for name in names:
        sa.Table(name, metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
    return metadata


METADATA = {"platform": tables("reader"), "tenant1": tables("book", "loan"), "tenant2": tables("book", "loan")}

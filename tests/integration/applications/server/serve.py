# SPDX-License-Identifier: MIT
"""The server as it runs in production, too: it knows nothing of tests. Its first line says where it listens."""

import sqlalchemy as sa
from app import URL, make_server

# No pool: between two requests no connection of ours speaks for the schema.
server = make_server(sa.create_engine(URL, poolclass=sa.pool.NullPool))
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()

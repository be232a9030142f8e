# SPDX-License-Identifier: MIT
"""schema(), guard() and connect_args() on a real PostgreSQL, with every driver that is installed."""

import threading
import warnings
from contextlib import closing

import pytest
import pytest_berth
from pytest_berth import FallThroughError, _schema, _slots, _targets
from pytest_berth._errors import BerthError

psycopg2 = pytest.importorskip("psycopg2")


@pytest.fixture
def look(database):
    """Ask the database on a connection that has nothing to do with the test's."""
    with closing(psycopg2.connect(**database)) as connection:
        connection.autocommit = True

        def look(sql):
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else None

        yield look


@pytest.fixture
def schemas(look):
    return lambda: {name for (name,) in look("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'test\\_%'")}


@pytest.fixture
def leased(fake, settle, active, look):
    fake.clusters = {look("SELECT system_identifier::text FROM pg_control_system()")[0][0]: ["platform"]}
    run = settle(fake)
    active(run)
    return run


@pytest.fixture
def unleased(settle, active, tmp_path, monkeypatch):
    monkeypatch.setattr(_slots, "_LOCK_ROOT", str(tmp_path))
    run = settle(mode="off")
    active(run)
    return run


# ---- targets: a way to connect, and to run SQL with what build() is given ----


def via_cursor(connection, sql):
    cursor = connection.cursor()
    cursor.execute(sql)
    cursor.close()


def connect_psycopg2(database, autocommit=False, **args):
    connection = psycopg2.connect(**database, **args)
    connection.autocommit = autocommit
    return connection


def connect_psycopg(database, **args):
    psycopg = pytest.importorskip("psycopg")
    return psycopg.connect(**database, **args)


def alchemy_engine(database, future=False, **args):
    sa = pytest.importorskip("sqlalchemy")
    url = f"postgresql+psycopg2://postgres@/{database['dbname']}?host={database['host']}&port={database['port']}"
    return sa.create_engine(url, connect_args=args, future=future)


class Target:
    def __init__(self, name, connect, run=via_cursor):
        self.name, self.connect, self.run = name, connect, run


def exec_driver_sql(connection, sql):
    connection.exec_driver_sql(sql)


def dict_rows(database, **args):
    rows = pytest.importorskip("psycopg.rows")
    return connect_psycopg(database, row_factory=rows.dict_row, **args)


def real_dict_cursor(database, **args):
    import psycopg2.extras

    return connect_psycopg2(database, cursor_factory=psycopg2.extras.RealDictCursor, **args)


TARGETS = [
    Target("psycopg2", connect_psycopg2),
    Target("psycopg2 autocommit", lambda database, **args: connect_psycopg2(database, autocommit=True, **args)),
    Target("psycopg2 RealDictCursor", real_dict_cursor),
    Target("psycopg", connect_psycopg),
    Target("psycopg autocommit", lambda database, **args: connect_psycopg(database, autocommit=True, **args)),
    Target("psycopg dict_row", dict_rows),
    Target("SQLAlchemy engine", alchemy_engine, exec_driver_sql),
    Target("SQLAlchemy 2.0 engine", lambda database, **args: alchemy_engine(database, future=True, **args),
           exec_driver_sql),
    Target("SQLAlchemy connection", lambda database, **args: alchemy_engine(database, **args).connect(),
           exec_driver_sql),
    Target("SQLAlchemy 2.0 connection", lambda database, **args: alchemy_engine(database, future=True, **args).connect(),
           exec_driver_sql),
]


@pytest.fixture(params=TARGETS, ids=lambda target: target.name)
def target(request):
    return request.param


@pytest.fixture
def connect(target, database):
    made = []

    def connect(**args):
        made.append(target.connect(database, **args))
        return made[-1]

    yield connect
    for each in made:
        (each.dispose if hasattr(each, "dispose") else each.close)()


def builder(target, *statements):
    def build(connection):
        for sql in statements:
            target.run(connection, sql)
    return build


# ---- schema() ----


def test_a_schema_is_built_in_a_slot_and_seen_by_others(leased, fake, target, connect, look):
    connection = connect(**pytest_berth.connect_args())
    held = []
    build = builder(target, "CREATE TABLE t (id int PRIMARY KEY)")
    with pytest_berth.schema(connection, lambda c: (held.append(len(fake.slots)), build(c))) as given:
        assert given is connection
        assert held == [1] and fake.slots == []
        assert look("SELECT schemaname FROM pg_tables WHERE tablename = 't'") == [(pytest_berth.worker_schema(),)]


def test_the_slot_is_one_of_the_servers_own(leased, fake, target, connect, look):
    with pytest_berth.schema(connect(**pytest_berth.connect_args()), lambda c: None):
        identifier = look("SELECT system_identifier::text FROM pg_control_system()")[0][0]
        assert [call["systemIdentifier"] for call in fake.called("AcquireSlot")] == [identifier]


def test_with_a_lease_the_drop_is_the_daemons(leased, connect, schemas):
    with pytest_berth.schema(connect(**pytest_berth.connect_args()), lambda c: None):
        pass
    assert schemas() == {pytest_berth.worker_schema()}


def test_without_a_lease_the_schema_goes_when_the_context_ends(unleased, target, connect, schemas):
    build = builder(target, "CREATE TABLE t (id int)")
    with pytest_berth.schema(connect(**pytest_berth.connect_args()), build):
        assert schemas() == {pytest_berth.worker_schema()}
    assert schemas() == set()


def test_also_when_the_last_test_left_its_transaction_failed(unleased, target, connect, schemas):
    connection = connect(**pytest_berth.connect_args())
    with pytest_berth.schema(connection, lambda c: None):
        if not hasattr(connection, "dispose"):
            if hasattr(connection, "begin"):
                connection.begin()
            with pytest.raises(Exception, match="nonsense"):
                target.run(connection, "SELECT nonsense")
    assert schemas() == set()


def test_a_failing_build_leaves_no_schema_and_no_slot(leased, fake, target, connect, schemas):
    if "autocommit" in target.name:
        pytest.skip("each statement has its own transaction: the sweep's to clean")
    with pytest.raises(Exception, match="nonsense"):
        with pytest_berth.schema(connect(**pytest_berth.connect_args()), builder(target, "SELECT nonsense")):
            pass
    assert fake.slots == [] and schemas() == set()


def test_no_transaction_is_open_while_waiting_for_a_slot(leased, fake, connect, look):
    """It would keep vacuum from its work, and a lock or two from others."""
    lease = fake.find(leased.namespace)
    fake.slots += [{"grant": n, "lease": lease, "client": None, "worker": "gw9"} for n in (901, 902)]
    done = threading.Event()

    def build():
        with pytest_berth.schema(connect(**pytest_berth.connect_args()), lambda c: None):
            done.set()

    thread = threading.Thread(target=build, daemon=True)
    thread.start()
    fake.wait_for(lambda: fake.called("AcquireSlot"))
    label = pytest_berth.application_name()
    busy = look(f"SELECT state FROM pg_stat_activity WHERE application_name = '{label}' AND state <> 'idle'")
    assert busy == []
    with fake._changed:
        fake.slots.clear()
        fake._changed.notify_all()
    assert done.wait(20)
    thread.join()


def test_a_forced_namespaces_earlier_schema_is_used_again(leased, target, connect, look):
    build = builder(target, "CREATE TABLE IF NOT EXISTS t (id int)")
    for _ in range(2):
        with pytest_berth.schema(connect(**pytest_berth.connect_args()), build):
            pass
    assert look("SELECT count(*) FROM pg_tables WHERE tablename = 't'") == [(1,)]


def test_a_nested_context_does_not_drop_what_the_outer_one_made(unleased, connect, schemas):
    outer, inner = connect(**pytest_berth.connect_args()), connect(**pytest_berth.connect_args())
    with pytest_berth.schema(outer, lambda c: None):
        with pytest_berth.schema(inner, lambda c: None):
            pass
        assert schemas() == {pytest_berth.worker_schema()}
    assert schemas() == set()


def test_what_cannot_be_dropped_is_a_warning(unleased, database, schemas, look, monkeypatch):
    monkeypatch.setattr(_schema, "_DROP_LOCK_TIMEOUT", "50ms")
    connection = connect_psycopg2(database, **pytest_berth.connect_args())
    with closing(psycopg2.connect(**database)) as blocker, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest_berth.schema(connection, lambda c: via_cursor(c, "CREATE TABLE t (id int)")):
            blocker.cursor().execute(f"SELECT * FROM {pytest_berth.worker_schema()}.t")
    assert f"schema {pytest_berth.worker_schema()} is left behind" in str(told[-1].message)
    connection.close()


def test_a_server_unknown_to_the_daemon_is_told(leased, fake, connect):
    fake.clusters = {"1": ["platform"], "2": ["tenant"]}
    with pytest.raises(BerthError, match="berthd has no database on this server .system identifier [0-9]+.; add one"):
        with pytest_berth.schema(connect(**pytest_berth.connect_args()), lambda c: None):
            pass


def test_a_daemon_of_one_server_need_not_know_its_identifier(leased, fake, connect, schemas):
    fake.clusters = {"1": ["platform"]}
    with pytest_berth.schema(connect(**pytest_berth.connect_args()), lambda c: None):
        assert schemas() == {pytest_berth.worker_schema()}


# ---- the guard ----


@pytest.fixture
def public_table(look):
    look("CREATE TABLE public.t (id int)")


def test_create_all_that_skipped_what_public_has_is_caught(leased, database, public_table, schemas, fake):
    """With public in the path it makes nothing and says nothing, and every test would run in public."""
    sa = pytest.importorskip("sqlalchemy")
    metadata = sa.MetaData()
    sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True))
    args = pytest_berth.connect_args()
    args["options"] += ",public"
    engine = alchemy_engine(database, **args)
    with pytest.raises(FallThroughError) as caught:
        with pytest_berth.schema(engine, metadata.create_all):
            pass
    assert "public.t can be seen without naming the schema" in str(caught.value)
    assert "connect with **berth.connect_args()" in str(caught.value)
    assert schemas() == set() and fake.slots == []
    engine.dispose()


def test_the_same_create_all_is_right_with_connect_args(leased, database, public_table, look):
    sa = pytest.importorskip("sqlalchemy")
    metadata = sa.MetaData()
    sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True))
    engine = alchemy_engine(database, **pytest_berth.connect_args())
    with pytest_berth.schema(engine, metadata.create_all):
        assert look("SELECT count(*) FROM pg_tables WHERE tablename = 't'") == [(2,)]
    engine.dispose()


@pytest.mark.parametrize("path,told", [
    ("public", "the current schema is public, not test_"),
    ("test_gw0,public", "the current schema is public, not test_"),
    ("test_gw0", "the current schema is None, not test_"),
])
def test_a_path_that_falls_through_is_caught(leased, target, connect, path, told):
    with pytest.raises(FallThroughError, match=told):
        pytest_berth.guard(connect(options=f"-csearch_path={path}"))


def test_a_good_path_passes_and_a_transaction_is_left_as_it_was(leased, target, connect, look):
    connection = connect(**pytest_berth.connect_args())
    with pytest_berth.schema(connection, builder(target, "CREATE TABLE t (id int)")):
        pytest_berth.guard(connection)
        if target.name in ("psycopg2", "psycopg"):
            target.run(connection, "INSERT INTO t VALUES (1)")
            pytest_berth.guard(connection)
            assert look(f"SELECT count(*) FROM {pytest_berth.worker_schema()}.t") == [(0,)]
            connection.rollback()


def test_a_set_search_path_in_a_test_is_caught(leased, database):
    with closing(connect_psycopg2(database, autocommit=True, **pytest_berth.connect_args())) as connection:
        with pytest_berth.schema(connection, lambda c: None):
            via_cursor(connection, "SET search_path TO nowhere, public")
            with pytest.raises(FallThroughError, match="search_path = nowhere, public"):
                pytest_berth.guard(connection)


@pytest.mark.parametrize("guard", ["warn", "off"])
def test_the_guard_can_be_softened(fake, settle, active, database, guard):
    active(settle(fake, guard=guard))
    with closing(connect_psycopg2(database)) as connection, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        pytest_berth.guard(connection)
    assert [str(w.message)[:34] for w in told] == (["berth: the current schema is publi"] if guard == "warn" else [])


def test_extra_schemas_are_in_the_path_when_asked_for(fake, settle, active, database, look, public_table):
    fake.clusters = {"1": ["platform"]}
    active(settle(fake, extra_path=("public",)))
    assert pytest_berth.connect_args()["options"] == f"-csearch_path={pytest_berth.worker_schema()},public"
    with closing(connect_psycopg2(database, **pytest_berth.connect_args())) as connection:
        with pytest_berth.schema(connection, lambda c: via_cursor(c, "CREATE TABLE mine (id int)")):
            via_cursor(connection, "SELECT * FROM t, mine")


def test_and_even_then_a_build_that_made_nothing_is_caught(fake, settle, active, database, public_table):
    fake.clusters = {"1": ["platform"]}
    active(settle(fake, extra_path=("public",)))
    with closing(connect_psycopg2(database, **pytest_berth.connect_args())) as connection:
        with pytest.raises(FallThroughError, match="the build made nothing in test_.* but public.t can be seen"):
            with pytest_berth.schema(connection, lambda c: via_cursor(c, "CREATE TABLE IF NOT EXISTS public.t ()")):
                pass


def test_tables_of_extensions_do_not_count(leased, database, look):
    look("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    args = pytest_berth.connect_args()
    args["options"] += ",public"
    with closing(connect_psycopg2(database, **args)) as connection:
        with pytest_berth.schema(connection, lambda c: via_cursor(c, "CREATE TABLE t (id int)")):
            pytest_berth.guard(connection)


# ---- commits ----


@pytest.fixture
def engine(database):
    engine = alchemy_engine(database, future=True, **pytest_berth.connect_args())
    yield engine
    engine.dispose()


@pytest.mark.parametrize("before,writes,is_caught", [
    ("SET LOCAL search_path TO test_gw0, public", True, True),
    ("SET LOCAL search_path TO test_gw0, public", False, False),
    ("SET LOCAL search_path TO test_gw0", False, False),
    ("SELECT 1", True, False),
], ids=str)
def test_what_is_written_into_public_is_not_committed(leased, engine, look, public_table, before, writes, is_caught):
    def commit():
        with engine.begin() as connection:
            exec_driver_sql(connection, before)
            if writes:
                exec_driver_sql(connection, "INSERT INTO t VALUES (1)")

    with pytest_berth.schema(engine, lambda c: exec_driver_sql(c, "CREATE TABLE t (id int)")):
        if is_caught:
            with pytest.raises(FallThroughError, match="public as its current schema .search_path = test_gw0, public."):
                commit()
        else:
            commit()
        assert look("SELECT * FROM public.t") == []
        commit_a_failed_transaction(engine)
    if is_caught:
        commit()  # nobody listens any more
        assert look("SELECT * FROM public.t") == [(1,)]


def commit_a_failed_transaction(engine):
    with engine.connect() as connection:
        transaction = connection.begin()
        exec_driver_sql(connection, "SET LOCAL search_path TO public")
        with pytest.raises(Exception, match="nonsense"):
            exec_driver_sql(connection, "SELECT nonsense")
        transaction.commit()  # as PostgreSQL has it: a rollback, and no error


def test_nor_by_an_asynchronous_engine(leased, database, look, public_table):
    import asyncio

    engine = async_engine(database, **pytest_berth.connect_args(driver="asyncpg"))

    async def commit(path):
        async with engine.connect() as connection:
            await connection.exec_driver_sql(f"SET LOCAL search_path TO {path}")
            await connection.exec_driver_sql("INSERT INTO t VALUES (1)")
            await connection.commit()

    async def main():
        await commit(pytest_berth.worker_schema())
        with pytest.raises(FallThroughError, match="search_path = test_gw0, public"):
            await commit("test_gw0, public")
        await engine.dispose()

    with pytest_berth.schema(engine, lambda c: exec_driver_sql(c, "CREATE TABLE t (id int)")):
        asyncio.run(main())
    assert look("SELECT * FROM public.t") == []
    assert look(f"SELECT * FROM {pytest_berth.worker_schema()}.t") == [(1,)]


@pytest.mark.filterwarnings("ignore:Deprecated API features")
def test_a_statement_that_commits_by_itself_is_seen_as_well(leased, database, look, public_table):
    """As those of SQLAlchemy 1.4 do."""
    engine = alchemy_engine(database, **pytest_berth.connect_args())
    if not hasattr(engine, "execute"):
        return  # 2.0 has no such
    with pytest_berth.schema(engine, lambda c: exec_driver_sql(c, "CREATE TABLE t (id int)")):
        with engine.connect() as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
            connection.exec_driver_sql("SET search_path TO public")
            with pytest.raises(FallThroughError):
                connection.exec_driver_sql("INSERT INTO t VALUES (2)")
    engine.dispose()
    assert look("SELECT * FROM public.t") == []
    assert look(f"SELECT * FROM {pytest_berth.worker_schema()}.t") == [(1,)]


@pytest.mark.parametrize("settings", [{"guard": "off"}, {"extra_path": ("public",)}], ids=str)
def test_unless_public_is_wanted(fake, settle, active, database, look, public_table, settings):
    fake.clusters = {"*": ["platform"]}
    active(settle(fake, **settings))
    engine = alchemy_engine(database, future=True, **pytest_berth.connect_args())
    with pytest_berth.schema(engine, lambda c: exec_driver_sql(c, "CREATE TABLE mine (id int)")):
        with engine.begin() as connection:
            exec_driver_sql(connection, "SET LOCAL search_path TO public")
            exec_driver_sql(connection, "INSERT INTO t VALUES (1)")
    engine.dispose()
    assert look("SELECT * FROM public.t") == [(1,)]


# ---- connect_args() ----


def test_label_and_path_are_the_connections_own(leased, target, connect, database):
    connection = connect(**pytest_berth.connect_args("seed"))
    adapter = _targets.adapt(connection)
    sql = "SELECT current_setting('application_name') AS label, current_setting('search_path') AS path"
    assert adapter.examine(lambda given: adapter.run(given, sql)) == [
        (f"pytest_gw0_{leased.namespace}_seed", f"test_{leased.namespace}_gw0")]


def test_they_survive_rollback_and_discard_all(leased, database):
    with closing(connect_psycopg2(database, autocommit=True, **pytest_berth.connect_args())) as connection:
        with pytest_berth.schema(connection, lambda c: None):
            via_cursor(connection, "SET search_path TO public")
            via_cursor(connection, "DISCARD ALL")
            pytest_berth.guard(connection)


def connect_asyncpg(database, **args):
    """A function that makes a connection, as asyncpg needs a running loop to make one."""
    asyncpg = pytest.importorskip("asyncpg")
    where = {"host": database["host"], "port": database["port"], "user": "postgres", "database": database["dbname"]}
    return lambda: asyncpg.connect(**where, **args)


def async_engine(database, **args):
    pytest.importorskip("asyncpg")
    pytest.importorskip("greenlet")
    url = f"postgresql+asyncpg://postgres@/{database['dbname']}?host={database['host']}&port={database['port']}"
    return pytest.importorskip("sqlalchemy.ext.asyncio").create_async_engine(url, connect_args=args)


@pytest.mark.parametrize("connect,build", [
    (connect_asyncpg, lambda c: c.execute("CREATE TABLE t (id int)")),
    (async_engine, lambda c: exec_driver_sql(c, "CREATE TABLE t (id int)")),
], ids=["asyncpg", "SQLAlchemy on asyncpg"])
@pytest.mark.parametrize("has_lease", [True, False], ids=["leased", "unleased"])
def test_what_belongs_to_an_event_loop_is_built_by_a_synchronous_fixture(request, database, look, connect, build,
                                                                         has_lease):
    request.getfixturevalue("leased" if has_lease else "unleased")
    target = connect(database, **pytest_berth.connect_args(driver="asyncpg"))
    with pytest_berth.schema(target, build) as given:
        assert given is target
        assert look("SELECT schemaname FROM pg_tables WHERE tablename = 't'") == [(pytest_berth.worker_schema(),)]
        pytest_berth.guard(target)
    assert look("SELECT count(*) FROM pg_tables WHERE tablename = 't'") == [(int(has_lease),)]
    label = pytest_berth.application_name()
    assert look(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{label}'") == [(0,)]


@pytest.mark.parametrize("connect,build", [
    (connect_asyncpg, lambda c: c.execute("SELECT nonsense")),
    (async_engine, lambda c: exec_driver_sql(c, "SELECT nonsense")),
], ids=["asyncpg", "SQLAlchemy on asyncpg"])
def test_and_nothing_is_left_of_a_build_that_failed(leased, fake, database, schemas, connect, build):
    with pytest.raises(Exception, match="nonsense"):
        with pytest_berth.schema(connect(database, **pytest_berth.connect_args(driver="asyncpg")), build):
            pass
    assert fake.slots == [] and schemas() == set()


@pytest.mark.parametrize("connect", [connect_asyncpg, async_engine])
def test_a_path_of_theirs_that_falls_through_is_caught(leased, database, connect):
    with pytest.raises(FallThroughError, match="the current schema is public"):
        pytest_berth.guard(connect(database))


def test_what_already_belongs_to_a_running_loop_is_told_so(leased, database):
    import asyncio

    async def ask():
        make, engine = connect_asyncpg(database), async_engine(database)
        for target in (make, engine):
            with pytest.raises(BerthError, match="call it in a synchronous fixture"):
                pytest_berth.guard(target)
        connection = await make()
        with pytest.raises(BerthError, match="Connection is asynchronous.*pass .*lambda: asyncpg.connect"):
            pytest_berth.guard(connection)
        await connection.close()

    asyncio.run(ask())


def test_an_asynchronous_connection_of_sqlalchemy_builds_by_run_sync(leased, database, look):
    import asyncio

    def build(connection):
        with pytest_berth.schema(connection, lambda c: exec_driver_sql(c, "CREATE TABLE t (id int)")):
            pass

    async def main():
        engine = async_engine(database, **pytest_berth.connect_args(driver="asyncpg"))
        async with engine.connect() as connection:
            with pytest.raises(BerthError, match="run_sync"):
                pytest_berth.guard(connection)
            await connection.run_sync(build)
        await engine.dispose()

    asyncio.run(main())
    assert look("SELECT schemaname FROM pg_tables WHERE tablename = 't'") == [(pytest_berth.worker_schema(),)]


@pytest.mark.parametrize("wrong", [None, "postgresql://", object()])
def test_what_is_no_target_is_told_so(leased, wrong):
    with pytest.raises(BerthError, match="pass an object with .begin"):
        pytest_berth.guard(wrong)


def test_a_function_that_makes_something_else_is_told_so(leased, database):
    psycopg = pytest.importorskip("psycopg")
    for make in (lambda: connect_psycopg2(database), lambda: psycopg.AsyncConnection.connect(**database), object):
        with pytest.raises(BerthError, match="makes (connection|AsyncConnection|object), and no connection of asyncpg"):
            pytest_berth.guard(make)


def test_a_suffix_that_does_not_fit_is_refused(leased):
    with pytest.raises(pytest_berth.NameTooLong):
        pytest_berth.connect_args("s" * 40)
    with pytest.raises(BerthError, match="unknown driver"):
        pytest_berth.connect_args(driver="odbc")

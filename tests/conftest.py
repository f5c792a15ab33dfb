"""What the end-to-end tests share: the program, a database of their own, and an independent look at it (pymongo).

Run by scripts/test, which sets MIG_BIN (the program, a build with crash points), MIG_TEST_URI (the server) and
MIG_TEST_URI_SECOND (a server with transactions, where the first has none). The program under test never checks itself:
documents, indexes and options are read with pymongo and compared as raw bytes.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import secrets
import signal
import subprocess
import sys

import bson
import pymongo
import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE / "harness"), str(HERE / "cli"), str(HERE / "server")]

from wireproxy import WireProxy, without_progress  # noqa: E402  its folder is on the path now

RAW = CodecOptions(document_class=RawBSONDocument)
OURS = {"migrationlogs", "migrationevents", "migrationlocks"}


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only in scripts/test --long")
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # under nohup; what is started here shall hear it: exec resets a handler
        signal.signal(signal.SIGHUP, lambda number, frame: None)


class Result:
    """What one run of the program said."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def with_levels(options):
    """A validator without level and action is one with the defaults; which of both stands there depends on the command that set it."""
    return {"validationLevel": "strict", "validationAction": "error", **options} if "validator" in options else options


class Project:
    """A folder with migrations and a store, and a database."""

    def __init__(self, uri, folder, name=None):
        # the 2.5 s that a request of a dead runner is given to arrive are waited for where that is tested, not everywhere
        self.uri, self.env = uri, {"MIG_TEST_LATE_MS": "300"}
        self.folder = pathlib.Path(folder)
        self.name = name or "migtest_" + secrets.token_hex(4)
        self.migrations = self.folder / "migrations"
        self.store = self.folder / "snapshots"
        self.migrations.mkdir(parents=True, exist_ok=True)
        self.client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=20000)
        self.db = self.client[self.name]

    # -- the program ---------------------------------------------------------------------------------------------
    def environment(self, uri=None, **extra):
        env = {k: v for k, v in os.environ.items() if not k.startswith("MIG_")}
        env.update(MIG_URI=uri or self.uri, MIG_DB=self.name, **self.env)
        env.update({k: str(v) for k, v in extra.items()})
        return env

    def mig(self, *args, code=0, uri=None, timeout=180, stdin="", program=None, **env):
        """Runs mig and, unless code is None, insists on that exit code."""
        done = subprocess.run([program or os.environ["MIG_BIN"], *map(str, args)], cwd=self.folder, input=stdin, text=True,
                              capture_output=True, timeout=timeout, env=self.environment(uri, **env))
        result = Result(done)
        if code is not None:
            assert result.code == code, f"mig {' '.join(map(str, args))}: wanted exit {code}\n{result!r}"
        return result

    def start(self, *args, uri=None, **env):
        return subprocess.Popen([os.environ["MIG_BIN"], *map(str, args)], cwd=self.folder, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment(uri, **env))

    def write(self, name, content):
        """A migration file; content: dict, or text as it is."""
        text = content if isinstance(content, str) else json.dumps(content, indent=2)
        path = self.migrations / f"{name}.json"
        path.write_text(text)
        return path

    # -- an independent look -------------------------------------------------------------------------------------
    def digest(self, *collections):
        """SHA-256 over raw documents, index specs and options (no UUIDs) of the collections (all but mig's own)."""
        raw = self.client.get_database(self.name, codec_options=RAW)
        infos = {c["name"]: c for c in self.db.list_collections() if not c["name"].startswith("system.")}
        names = collections or sorted(n for n in infos if n not in OURS)
        h = hashlib.sha256()
        for name in names:
            info = infos.get(name)
            h.update(name.encode() + b"\0" + (b"+" if info else b"-"))
            if not info:
                continue
            h.update(json.dumps(with_levels(info.get("options", {})), sort_keys=True, default=str).encode())
            h.update(info.get("type", "").encode())
            if info.get("type") == "view":
                continue
            indexes = sorted((dict(i) for i in self.db[name].list_indexes()), key=lambda i: i["name"])
            h.update(repr([{k: (list(v.items()) if hasattr(v, "items") else v) for k, v in sorted(i.items()) if k != "ns"}
                           for i in indexes]).encode())
            documents = sorted(bytes(d.raw) for d in raw[name].find())
            for d in documents:
                h.update(d)
        return h.hexdigest()

    def ledger(self, name):
        return self.db.migrationlogs.find_one({"name": name})

    def status(self, name):
        entry = self.ledger(name)
        return entry["status"] if entry else None

    def partials(self):
        return [p.name for p in self.store.glob("*") if not p.name.endswith(".mig.tar")] if self.store.exists() else []

    def close(self):
        self.client.drop_database(self.name)
        self.client.close()


def server_uri(variable):
    uri = os.environ.get(variable)
    if not uri:
        pytest.skip(f"{variable} is not set (scripts/test sets it)")
    return uri


@pytest.fixture
def project(tmp_path):
    p = Project(server_uri("MIG_TEST_URI"), tmp_path)
    yield p
    p.close()


def has_transactions(uri):
    """Tried, not believed: written in a transaction, looked at from outside."""
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=20000)
    name = "migtest_" + secrets.token_hex(4)
    try:
        client[name].c.insert_one({"_id": 0})
        with client.start_session() as s:
            s.start_transaction()
            client[name].c.insert_one({"_id": 1}, session=s)
            seen = client[name].c.count_documents({"_id": 1})
            s.abort_transaction()
        return seen == 0 and client[name].c.count_documents({"_id": 1}) == 0
    except pymongo.errors.PyMongoError:
        return False
    finally:
        client.drop_database(name)
        client.close()


@pytest.fixture(scope="session")
def transactional_uri():
    for variable in ("MIG_TEST_URI", "MIG_TEST_URI_SECOND"):
        uri = os.environ.get(variable)
        if uri and has_transactions(uri):
            return uri
    pytest.skip("no server with transactions here")


SERVER = HERE.parent / "scripts" / "server"


def answering(uri):
    """The second server holds everything in memory and may hang for good when a client dies: then it is started anew."""
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=10000, socketTimeoutMS=10000)
    try:
        client.admin.command("ping")
        return uri
    except pymongo.errors.PyMongoError:
        if uri != os.environ.get("MIG_TEST_URI_SECOND") or not os.environ.get("MIG_SERVER_STATE"):
            return uri
    finally:
        client.close()
    subprocess.run([SERVER, "stop", "second"], check=True, timeout=120, stdout=subprocess.DEVNULL)
    started = subprocess.run([SERVER, "start", "second"], check=True, timeout=300, text=True, stdout=subprocess.PIPE)
    os.environ["MIG_TEST_URI_SECOND"] = started.stdout.split()[-1]
    return os.environ["MIG_TEST_URI_SECOND"]


@pytest.fixture
def txn_project(transactional_uri, tmp_path):
    second = transactional_uri != os.environ.get("MIG_TEST_URI")
    p = Project(answering(os.environ["MIG_TEST_URI_SECOND"] if second else transactional_uri), tmp_path)
    with contextlib.ExitStack() as stack:
        if second:
            p.uri = stack.enter_context(WireProxy(p.uri, [without_progress()])).uri
        yield p
    p.close()


@pytest.fixture(scope="session")
def users(tmp_path_factory):
    """{admin: URI, reader: URI}; from MIG_TEST_URI_AUTH and MIG_TEST_URI_READER, or a server of our own."""
    if os.environ.get("MIG_TEST_URI_AUTH"):
        yield {"admin": os.environ["MIG_TEST_URI_AUTH"], "reader": os.environ.get("MIG_TEST_URI_READER")}
        return
    env = {k: v for k, v in os.environ.items() if not k.startswith("MIG_") or k in ("MIG_CACHE", "MIG_SERVER")}
    env["MIG_SERVER_STATE"] = str(tmp_path_factory.mktemp("auth"))

    def ask(*args, **options):
        return subprocess.run([SERVER, *args], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              **options)
    started = ask("start", "auth", timeout=600)
    if started.returncode:
        pytest.skip(f"no server with users here: {started.stdout.strip()[-200:]}")
    reader = ask("uri", "auth-reader")
    yield {"admin": started.stdout.split()[-1], "reader": reader.stdout.strip() if reader.returncode == 0 else None}
    ask("stop", "auth", "--purge")


def documents_of(raw):
    """Independent BSON reader: the documents in a byte string."""
    return bson.decode_all(raw, RAW)


def documents_in(path):
    """Of an archive, by _id, without mig."""
    raw = subprocess.check_output(f"tar -xOf '{path}' --wildcards '*.zst' | zstd -dcq", shell=True)
    return {d["_id"]: d for d in documents_of(raw)}


def pytest_addoption(parser):
    parser.addoption("--run-long", action="store_true", help="also the tests marked long")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--run-long"):
        return
    for item in items:
        if "long" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="a long run: scripts/test --long"))

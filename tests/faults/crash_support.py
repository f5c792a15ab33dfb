"""What the crash tests share: the table of points, ways to start from the same state again and again, and the judge.

A scenario is a command that writes, the state it starts from, and the states it may leave behind once `mig recover` has
run: "before" or "after", each a digest of all documents, indexes and options and the ledger's word on every migration.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pymongo
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

TABLE = pathlib.Path(__file__).parents[2] / "engine" / "base" / "crash.h"
POINTS = re.findall(r'X\([A-Z_]+, "([a-z_]+)"', TABLE.read_text())
KILLED = -signal.SIGKILL
# what recovers and verifies after a fault: the program itself, or one without sanitizers, for it is the slower half of a long run
JUDGE = os.environ.get("MIG_JUDGE_BIN") or os.environ.get("MIG_BIN")
RAW = CodecOptions(document_class=RawBSONDocument)

STEPS = [
    {"update": {"collection": "users", "filter": {"n": {"$lt": 250}}, "update": {"$set": {"marked": True}}}},
    {"removeField": {"collection": "users", "field": "mail"}},
    {"delete": {"collection": "users", "filter": {"n": {"$gte": 280}}}},
]
# not legal in a transaction: these make the run depend on the snapshot
DDL = [
    {"dropCollection": {"collection": "old"}},
    {"createCollection": {"collection": "fresh"}},
    {"insert": {"collection": "fresh", "documents": [{"_id": 1}]}},
    {"dropIndex": {"collection": "users", "name": "by_n"}},
]
FAILS = [{"insert": {"collection": "plain", "documents": [{"_id": 9}, {"_id": 1}]}}]


def fill(p, documents=300):
    p.db.users.insert_many([{"_id": i, "n": i, "mail": f"u{i}@example.org"} for i in range(documents)])
    p.db.users.create_index("n", name="by_n")
    p.db.old.insert_many([{"_id": i} for i in range(20)])
    p.db.plain.insert_many([{"_id": i} for i in range(5)])


def is_ours(info):
    return not info["name"].startswith("system.")


def indexes_of(p, name):
    return [{k: v for k, v in i.items() if k != "ns"} for i in p.db[name].list_indexes()]


class State:
    """All of a database and of the store, to be put back as it was: cheaper than making it again."""

    def __init__(self, p, aside):
        raw = p.client.get_database(p.name, codec_options=RAW)
        self.collections = {i["name"]: (i.get("options", {}), indexes_of(p, i["name"]), [d.raw for d in raw[i["name"]].find()])
                            for i in p.db.list_collections() if is_ours(i)}
        self.store = aside
        shutil.rmtree(aside, ignore_errors=True)
        if p.store.exists():
            shutil.copytree(p.store, aside)

    def put(self, p):
        for attempt in range(8):  # FerretDB, just after a drop: "Unable to create the specified collection"
            try:
                return self.put_once(p)
            except pymongo.errors.OperationFailure:
                if attempt == 7:
                    raise
                time.sleep(0.1 * 2 ** attempt)

    def put_once(self, p):
        """What is as it was stays: to drop a collection costs a server more than all the rest."""
        there = {i["name"]: i.get("options", {}) for i in p.db.list_collections() if is_ours(i)}
        for name in there.keys() - self.collections.keys():
            p.db.drop_collection(name)
        for name, (options, indexes, documents) in self.collections.items():
            if name not in there or there[name] != options or indexes_of(p, name) != indexes:
                self.make(p, name, options, indexes)
            self.fill(p, name, documents)
        shutil.rmtree(p.store, ignore_errors=True)
        if self.store.exists():
            shutil.copytree(self.store, p.store)

    @staticmethod
    def make(p, name, options, indexes):
        p.db.drop_collection(name)
        options = dict(options)
        validator = {k: options.pop(k) for k in ("validator", "validationLevel", "validationAction") if k in options}
        p.db.create_collection(name, **options)
        own = [i for i in indexes if i["name"] != "_id_"]
        if own:
            p.db.command({"createIndexes": name, "indexes": [{k: v for k, v in i.items() if k != "background"} for i in own]})
        if validator:
            p.db.command("collMod", name, **validator)

    @staticmethod
    def fill(p, name, documents):
        collection = p.client.get_database(p.name, codec_options=RAW)[name]
        if [d.raw for d in collection.find()] == documents:
            return
        collection.delete_many({})
        if documents:
            collection.insert_many([RawBSONDocument(d) for d in documents], bypass_document_validation=True)


def ledger(p):
    """What the ledger says, as far as before and after differ in it: a failed migration is one that was never applied."""
    said = {}
    for e in p.db.migrationlogs.find():
        status = "not applied" if e["status"] in ("failed", "pending") else e["status"]
        if status != "not applied":
            said[e["name"]] = (status, e.get("checksum"), e.get("reversible"))
    return said


def picture(p):
    return p.digest(), ledger(p)


def run(p, *command, **env):
    done = p.mig(*command, code=None, **env)
    return done.code, done


def trace(p, command, at, uri=None):
    """The points that a run without a crash passes, in order; and that run's result."""
    at.unlink(missing_ok=True)
    result = p.mig(*command, code=None, uri=uri, MIG_CRASH_TRACE=at)
    return at.read_text().split() if at.exists() else [], result


def nothing_is_left_over(p):
    """After a recovery: no lease, no run, no scratch or staging collection, no journal, no partial archive."""
    assert p.db.migrationlogs.count_documents({"status": "running"}) == 0
    assert (p.db.migrationlocks.find_one({"_id": "mig"}) or {}).get("locked") is not True
    assert p.db.migrationlocks.find_one({"_id": "mig.restore"}) is None
    assert [n for n in p.db.list_collection_names() if n.startswith(("migprobe_", "migstage_"))] == []
    names = [e["name"] for e in p.db.migrationlogs.find({}, {"name": 1})]
    assert len(names) == len(set(names))
    for e in p.db.migrationlogs.find({"status": {"$in": ["applied", "reverted"]}}):
        assert e.get("appliedAt") and e["run"]["phase"] == "done", e


def archives(p):
    return {f.name: f.read_bytes() for f in p.store.glob("*.mig.tar")} if p.store.exists() else {}


def archives_are_whole(p, before):
    """Snapshots that were there are there, byte for byte; every complete name is a complete archive."""
    now = archives(p)
    for name, content in before.items():
        assert now.get(name) == content, f"the snapshot {name} was harmed"
    for name in sorted(now.keys() - before.keys()):
        p.mig("snapshot", "verify", p.store / name, program=JUDGE)
    assert p.partials() == []


def has_command(*words):
    done = subprocess.run([os.environ["MIG_BIN"], "help"], capture_output=True, text=True, env={}, check=True)
    return any(line.split()[:len(words)] == list(words) for line in done.stdout.splitlines())

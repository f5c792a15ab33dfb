"""What is measured, part by part. Each gives {"runs": {contestant: [Run]}, "goals": [Goal]}; bench.py prints them."""
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess

import bson
import pymongo

import measure
import shapes


@dataclasses.dataclass
class Goal:
    what: str
    value: float
    most: float | None  # None: no goal, only told
    unit: str = ""


def ratio(runs, mine, theirs, field="wall"):
    if mine not in runs or theirs not in runs:
        return None
    return measure.median(runs[mine], field) / max(measure.median(runs[theirs], field), 1e-9)


def goals_of(runs, *rows):
    """rows: (what, mine, theirs, field, most); left out where a contestant does not work."""
    found = ((what, ratio(runs, mine, theirs, field), most) for what, mine, theirs, field, most in rows)
    return [Goal(what, value, most) for what, value, most in found if value is not None]


class Bench:
    """One server, one shape, one size."""

    def __init__(self, uri, work, shape, wanted, runs, say):
        self.uri, self.shape, self.runs, self.say = uri, shape, runs, say
        self.work = pathlib.Path(work)
        self.name = f"bench_{shape}"
        self.client = pymongo.MongoClient(uri)
        measure.watch(self.client)
        self.db = self.client[self.name]
        self.store = self.work / "store"
        self.mig_bin = os.environ["MIG_BIN"]
        self.env = {"MIG_URI": uri, "MIG_DB": self.name, "MIG_STORE": str(self.store)}
        say(f"loading {wanted >> 20} MiB of {shape} documents")
        self.documents, self.bytes = shapes.load(self.db, shape, wanted)

    def close(self):
        self.client.drop_database(self.name)
        self.client.close()
        shutil.rmtree(self.store, ignore_errors=True)

    def mig(self, *args, expect=(0,), env=None):
        return measure.run([self.mig_bin, "--quiet", *args], {**self.env, **(env or {})}, self.work, expect)

    def snapshots(self):
        return sorted(self.store.glob("*.mig.tar"))

    def take(self):
        shutil.rmtree(self.store, ignore_errors=True)
        r = self.mig("snapshot", "create")
        r.bytes = self.snapshots()[0].stat().st_size
        return r

    def dump(self, *options):
        path = self.work / "dump.archive"
        path.unlink(missing_ok=True)
        r = measure.run(["mongodump", "--quiet", f"--uri={self.uri}", f"--db={self.name}", f"--archive={path}", *options])
        r.bytes = path.stat().st_size
        return r

    def scan(self):
        return measure.run([os.environ["MIG_PEEK"], "scan", self.name], {"MIG_URI": self.uri})

    # ---- parts -----------------------------------------------------------------------------------------------------

    def snapshot(self):
        runs = measure.interleave({"scan": self.scan, "mig": self.take, "mongodump": self.dump,
                                   "mongodump --gzip": lambda: self.dump("--gzip")}, self.runs, self.say)
        goals = goals_of(runs, ("wall / mongodump --gzip", "mig", "mongodump --gzip", "wall", 0.2),
                         ("wall / mongodump", "mig", "mongodump", "wall", 0.85),
                         ("wall / bare scan", "mig", "scan", "wall", None),
                         ("CPU / mongodump --gzip", "mig", "mongodump --gzip", "cpu", 0.25),
                         ("archive / mongodump --gzip", "mig", "mongodump --gzip", "bytes", 0.88))
        goals.append(Goal("peak memory", measure.median(runs["mig"], "peak") / 2 ** 20, 64, "MiB"))
        return runs, goals

    def verify(self):
        self.take()
        path, frames = self.snapshots()[0], self.work / "frames.zst"
        subprocess.run(f"tar -xOf '{path}' --wildcards '*.zst' > '{frames}'", shell=True, check=True)
        runs = measure.interleave({"mig": lambda: self.mig("snapshot", "verify", path),
                                   "zstd -t": lambda: measure.run(["zstd", "-tq", frames]),
                                   "sha256sum": lambda: measure.run(["sha256sum", path])}, self.runs, self.say)
        frames.unlink()
        slower = max(measure.median(runs[n], "wall") for n in ("zstd -t", "sha256sum"))
        return runs, [Goal("wall / slower of zstd -t, sha256sum", measure.median(runs["mig"], "wall") / slower, 1.2),
                      Goal("CPU / zstd -t and sha256sum", measure.median(runs["mig"], "cpu") / (
                          measure.median(runs["zstd -t"], "cpu") + measure.median(runs["sha256sum"], "cpu")), None),
                      Goal("peak memory", measure.median(runs["mig"], "peak") / 2 ** 20, 64, "MiB")]

    def empty_then(self, function):
        """Without the data; what mig found out about the server stays, as it does but for the very first restore."""
        def act():
            self.db.drop_collection(self.shape)
            return function()
        return act

    def put_back(self, *options):
        return self.mig("restore", self.snapshots()[0], "--yes", "--no-safety-snapshot", *options)

    def mongorestore(self, workers):
        return measure.run(["mongorestore", "--quiet", f"--uri={self.uri}", f"--archive={self.work / 'dump.archive'}",
                            "--drop", f"--nsInclude={self.name}.*", f"--numInsertionWorkersPerCollection={workers}"])

    def restores(self):
        return {f"mongorestore, {n} workers": self.empty_then(lambda n=n: self.mongorestore(n)) for n in (1, 2, 4)}

    def restore(self):
        self.take()
        self.dump()
        runs = measure.interleave({"mig": self.empty_then(self.put_back), **self.restores()}, self.runs, self.say)
        self.put_back()
        return runs, self.restore_goals(runs, "mig", 0.8) + [
            Goal("peak memory", measure.median(runs["mig"], "peak") / 2 ** 20, 64, "MiB")]

    @staticmethod
    def restore_goals(runs, mine, most):
        best = min((n for n in runs if n.startswith("mongorestore")), key=lambda n: measure.median(runs[n], "wall"),
                   default=None)
        if best is None or mine not in runs:
            return []
        return [Goal(f"{mine}: wall / {best}", ratio(runs, mine, best), most)]

    def damaged(self):
        shapes.damage(self.db, self.shape, 100)
        return self.put_back()

    def delta(self):
        self.take()
        self.dump()
        first = measure.interleave({"scan": self.scan, "none damaged": self.put_back, "1 % damaged": self.damaged},
                                   self.runs, self.say)
        runs = {**first, **measure.interleave(self.restores(), 1, self.say)}
        self.put_back()
        goals = self.restore_goals(runs, "1 % damaged", 0.1)
        return runs, goals + goals_of(runs, ("none damaged: wall / bare scan", "none damaged", "scan", "wall", None),
                                      ("1 % damaged: wall / bare scan", "1 % damaged", "scan", "wall", None))


class Small:
    """What does not depend on the amount of data, once for a server."""

    def __init__(self, uri, work, runs, say):
        self.uri, self.work, self.runs, self.say = uri, pathlib.Path(work) / "small", runs, say
        self.client = pymongo.MongoClient(uri)
        self.name = "bench_ledger"
        self.db = self.client[self.name]
        shutil.rmtree(self.work, ignore_errors=True)
        (self.work / "migrations").mkdir(parents=True)
        self.client.drop_database(self.name)

    def close(self):
        self.client.drop_database(self.name)
        self.client.close()

    def mig(self, *args, expect=(0,)):
        return measure.run([os.environ["MIG_BIN"], "--quiet", *args], {"MIG_URI": self.uri, "MIG_DB": self.name}, self.work,
                           expect)

    def write(self, name, content):
        (self.work / "migrations" / f"{name}.json").write_text(json.dumps(content))

    def up(self):
        self.db.users.insert_one({"_id": 1})
        for n in range(3):
            self.write(f"000{n + 1}_f{n}", {"up": [{"addField": {"collection": "users", "field": f"f{n}", "value": n}}]})
        self.mig("up")
        runs = measure.interleave({"mig up": lambda: self.mig("up")}, max(self.runs, 3), self.say)
        return runs, [Goal("nothing pending: wall", measure.median(runs["mig up"], "wall"), None, "s")]

    def status(self):
        self.mig("up")  # makes the ledger
        entries = [{"_id": bson.ObjectId(), "name": f"{n:06d}_m", "version": f"{n:06d}", "status": "applied",
                    "kind": "declarative", "checksum": "0" * 64, "batch": n, "reversible": False,
                    "appliedAt": shapes.EPOCH, "appliedBy": "bench", "duration": 5, "createdAt": shapes.EPOCH,
                    "updatedAt": shapes.EPOCH} for n in range(100000, 110000)]
        self.db.migrationlogs.insert_many(entries)
        runs = measure.interleave({"mig status": lambda: self.mig("status", expect=(0, 6)),
                                   "mig up": lambda: self.mig("up", expect=(0, 6))}, max(self.runs, 3), self.say)
        self.db.migrationlogs.delete_many({"name": {"$gte": "100000_m"}})
        return runs, [Goal("status, 10,000 entries: wall", measure.median(runs["mig status"], "wall"), 0.3, "s"),
                      Goal("up, 10,000 entries: wall", measure.median(runs["mig up"], "wall"), None, "s"),
                      Goal("status: peak memory", measure.median(runs["mig status"], "peak") / 2 ** 20, 64, "MiB")]

    def duplicates(self, count):
        c = self.db.get_collection("people", write_concern=pymongo.WriteConcern(w=1))
        self.say(f"loading {count} documents for noDuplicates")
        for at in range(0, count, 10000):
            c.insert_many([{"_id": n, "email": f"user{n * 2654435761 % 2 ** 32:010d}@example.org"}
                           for n in range(at, min(at + 10000, count))], ordered=False)
        for f in (self.work / "migrations").iterdir():
            f.unlink()
        self.db.migrationlogs.delete_many({})
        self.write("0001_d", {"guards": [{"noDuplicates": {"collection": "people", "fields": ["email"]}}],
                              "up": [{"addField": {"collection": "users", "field": "d", "value": 1}}]})
        scan = lambda: measure.run([os.environ["MIG_PEEK"], "scan", self.name], {"MIG_URI": self.uri})
        runs = measure.interleave({"mig plan": lambda: self.mig("up", "--dry-run"), "scan": scan}, self.runs, self.say)
        return runs, [Goal(f"noDuplicates, {count} documents: wall", measure.median(runs["mig plan"], "wall"), None, "s"),
                      Goal("noDuplicates: wall / bare scan", ratio(runs, "mig plan", "scan"), None),
                      Goal("noDuplicates: peak memory", measure.median(runs["mig plan"], "peak") / 2 ** 20, 64, "MiB")]

#!/usr/bin/env python3
"""Makes tests/fuzz/corpus/ (seeds) from the golden archives, the program's own tables, and a database if one is given.

usage: make_seeds.py PROGRAM [URI DATABASE]     what a found crash left in a corpus stays; seeds are named seed-*
"""
import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "golden"))
import damage  # noqa: E402

GOLDEN = HERE.parent / "golden"


def seed(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(data)


def archives():
    one = damage.members(damage.ONE_CHUNK)
    seed("archive", "whole-one-chunk", b"\0" + damage.ONE_CHUNK)
    for kind in ("pax-path", "sparse", "size-base-256", "symlink"):
        seed("archive", f"walk-{kind}", b"\1" + (GOLDEN / f"damaged/forged-{kind}.mig.tar").read_bytes()[:6144])
    seed("archive", "walk-good", b"\1" + damage.join([(n, h, c) for n, h, c in one]))
    for number, (name, _, content) in enumerate(m for m in one if m[0].endswith(".zst")):
        seed("archive", f"stored-{number}", b"\2" + content)
        seed("archive", f"raw-{number}", b"\3" + damage.unzstd(content))
    for archive, parts in (("one", one), ("small", damage.GOOD and damage.members(damage.GOOD))):
        seed("manifest", archive, parts[-1][2])
    for kind in ("key-file", "passphrase"):
        seed("manifest", kind, damage.members((GOLDEN / f"encrypted/format1-{kind}.mig.tar").read_bytes())[-1][2])


FIELD = {"collection": "users", "field": "a.b", "fields": ["a", "b"], "filter": {"a": {"$gt": 1}}, "from": "x", "to": "y", "value": {"$numberLong": "1"},
         "update": {"$set": {"a": 1}}, "pipeline": [{"$set": {"a": "$b"}}], "key": {"a": 1}, "options": {"unique": True}, "name": "a_1",
         "documents": [{"_id": 1}], "command": {"collMod": "users"}, "collections": ["users"], "type": "string", "equals": 0, "expect": "none",
         "min": "4.0", "max": 5, "upsert": True, "dropTarget": True}


def migrations(program):
    def table(topic):
        text = subprocess.run([program, "help", topic], capture_output=True, text=True, env={}).stdout
        name, args = None, []
        for line in text.splitlines():
            if match := re.match(r"(\w+): ", line):
                if name:
                    yield name, args
                name, args = match[1], []
            elif match := re.match(r"  (\w+)\s+(optional )?\s*(.*?):", line):
                args.append(match[1])
        if name:
            yield name, args
    steps = [{name: {a: FIELD.get(a, "x") for a in args}} for name, args in table("steps")]
    guards = [{name: {a: FIELD.get(a, "x") for a in args}} for name, args in table("guards")]
    for number, step in enumerate(steps):
        seed("migration", f"step-{next(iter(step))}", json.dumps({"up": [step]}).encode())
    for guard in guards:
        seed("migration", f"guard-{next(iter(guard))}", json.dumps({"guards": [guard], "up": [steps[0]], "verify": [guard]}).encode())
    seed("migration", "all", b'// a comment\n{ "version": "1.4.0", "description": "d", "author": "a", "transaction": "off", "snapshot": "always", "metadata": '
         b'{"a": 1}, /* b */ "up": [{"addField": {"collection": "u", "field": "f", "value": {"$date": "2026-11-21T00:00:00Z"}}}], "down": []}')
    for number, text in enumerate([b'{"up": [{"update": {"collection": "u", "filter": {"a": {"$regex": "^a", "$options": "i"}}, "update": {"$set": {"d": '
                                   b'{"$numberDecimal": "1.5"}, "b": {"$binary": {"base64": "AA==", "subType": "00"}}}}}}]}',
                                   b'{"up": [{"insert": {"collection": "u", "documents": [{"_id": {"$oid": "65f0c0ffee65f0c0ffee0001"}, "t": {"$timestamp": '
                                   b'{"t": 1, "i": 1}}, "m": {"$minKey": 1}, "u": {"$undefined": true}}]}}]}', b"{", b"\xef\xbb\xbf{}", b'{"up": [[[[[[]]]]]]}']):
        seed("migration", f"text-{number}", text)


LINES = ["up", "up --to V --steps 3 --dry-run --json", "down NAME --yes", "snapshot create --only a --only b", "restore 2026 --strategy=delta -y", "--uri "
         "mongodb://h/d up", "up --uri=mongodb://u:p@h/d", "-- up --x", "help steps", "-h", "--version", "history --limit 5 --page 2 --status failed", "mark x "
         "--applied --why y", "upp", "--jsn", "force-unlock --confirm", "snapshot verify a b c", "--store", "-z", "snapshot"]


def args():
    for number, line in enumerate(LINES):
        seed("args", str(number), line.replace(" ", "\n").encode())


def ledger(uri, database):
    import pymongo
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument
    db = pymongo.MongoClient(uri).get_database(database, codec_options=CodecOptions(document_class=RawBSONDocument))
    for name in ("migrationlogs", "migrationlocks"):
        for number, document in enumerate(db[name].find()):
            seed("ledger", f"{name}-{number}", document.raw)


if __name__ == "__main__":
    archives()
    migrations(sys.argv[1])
    args()
    if len(sys.argv) > 3:
        ledger(*sys.argv[2:4])

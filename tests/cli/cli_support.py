"""What the command-line tests share: migrations to run, an exact picture of a database, a pseudo terminal."""
import datetime
import os
import pty
import re
import select
import subprocess
import time

from conftest import OURS, RAW

MAIL = "user{}@example.org"


def within(seconds, condition):
    """What the condition gave at last: something true, or the time is over."""
    until = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def wait_for(condition, seconds=90):
    found = within(seconds, condition)
    assert found, "waited in vain"
    return found


def add_users(p, count=5):
    p.db.users.insert_many([{"_id": i, "name": f"n{i}", "email": MAIL.format(i), "age": i * 7} for i in range(count)])


def with_validator(p, name, validator):
    """A new collection. Some servers take a validator with create and forget it, others have no collMod."""
    p.db.create_collection(name, validator=validator)
    info = next(c for c in p.db.list_collections() if c["name"] == name)
    if "validator" not in info.get("options", {}):
        p.db.command("collMod", name, validator=validator, validationLevel="strict", validationAction="error")


def add_field(collection="users", field="seen", value=True, **more):
    """A good, reversible migration."""
    return {"up": [{"addField": {"collection": collection, "field": field, "value": value}}],
            "down": [{"removeField": {"collection": collection, "field": field}}], **more}


def three(p):
    """0001 to 0003, each with a field of its own."""
    add_users(p)
    for n in (1, 2, 3):
        p.write(f"000{n}_f{n}", add_field(field=f"f{n}", version=f"1.{n}"))


def fields(p, collection="users"):
    """Which of f1, f2, f3 stand in the documents."""
    return sorted(k for k in p.db[collection].find_one() if re.fullmatch(r"f\d", k))


# The last step asks the server for what it refuses: a number added to a text.
REFUSED_BY_SERVER = {"update": {"collection": "users", "filter": {"_id": 3}, "update": {"$inc": {"name": 1}}}}
DESTRUCTIVE = [{"delete": {"collection": "users", "filter": {"_id": {"$lt": 2}}}},
               {"update": {"collection": "users", "filter": {},
                           "update": {"$set": {"email": "gone"}, "$unset": {"age": 1}}}},
               {"insert": {"collection": "users", "documents": [{"_id": 100, "new": True}]}}]


NEVER = [{"count": {"collection": "users", "filter": {}, "equals": 99}}]  # as "verify": fails when all steps have run


def fails_late(**more):
    """Destroys a good deal and is refused on its last step."""
    return {"up": [*DESTRUCTIVE, REFUSED_BY_SERVER], **more}


def picture(p):
    """All of a database, mig's own collections included: names, options, indexes, raw documents."""
    raw = p.client.get_database(p.name, codec_options=RAW)
    seen = {"exists": p.name in p.client.list_database_names()}
    for c in p.db.list_collections():
        if c["name"].startswith("system."):
            continue
        indexes = sorted(str(sorted((k, str(v)) for k, v in i.items())) for i in p.db[c["name"]].list_indexes())
        seen[c["name"]] = (str(c.get("options")), indexes, sorted(d.raw for d in raw[c["name"]].find()))
    return seen


def events(p, **query):
    return list(p.db.migrationevents.find(query))


def one(result, key="migration"):
    """The only line of --json with that key."""
    found = [line for line in result.lines if key in line]
    assert len(found) == 1, result
    return found[0]


def states(p):
    return {e["name"]: e["status"] for e in p.db.migrationlogs.find()}


def snapshots(p):
    return sorted(p.store.glob("*.mig.tar")) if p.store.exists() else []


def free(p):
    lease = p.db.migrationlocks.find_one({"_id": "mig"})
    return lease is None or not lease["locked"]


def hold(p, **changes):
    """The lease of a runner elsewhere, by hand."""
    now = datetime.datetime.now(datetime.timezone.utc)
    lease = {"_id": "mig", "locked": True, "lockedBy": "11111111-2222-4333-8444-555555555555", "host": "far.example",
             "machine": "another", "pid": 4711, "pidStarted": 1, "reason": "up", "fence": 1,
             "lockedAt": datetime.datetime(2026, 11, 21, 7, 15), "expiresAt": now + datetime.timedelta(minutes=20),
             "createdAt": now, "updatedAt": now, **changes}
    p.db.migrationlocks.replace_one({"_id": "mig"}, lease, upsert=True)
    p.db.migrationlocks.replace_one({"_id": "mig.fence"}, {"value": 1}, upsert=True)


def ours_aside(p):
    return sorted(n for n in p.db.list_collection_names() if n not in OURS and not n.startswith("system."))


def three_lines(result, *words):
    """The error stands in three lines: what, why, hint; and the words are in it."""
    text = result.err if hasattr(result, "err") else result.stderr
    match = re.search(r"^error: (.+)\n  why: (.+)\n  hint: (.+)$", text, re.M)
    assert match, result
    for word in words:
        assert word in match[0], f"{word!r} is not in the error\n{result!r}"
    return match


def on_terminal(p, *args, answer=None, stdout_too=False, uri=None, timeout=120, **env):
    """Runs mig with a terminal as stdin and stderr (and stdout); types `answer` at the question. (code, out, screen)"""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([os.environ["MIG_BIN"], *map(str, args)], cwd=p.folder, stdin=theirs, stderr=theirs,
                               stdout=theirs if stdout_too else subprocess.PIPE, env=p.environment(uri, **env))
    os.close(theirs)
    screen, until = b"", time.monotonic() + timeout
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                screen += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        if answer is not None and b"Type yes" in screen:
            os.write(ours, answer.encode())
            answer = None
    out = b"" if stdout_too else process.stdout.read()
    code = process.wait(timeout=30)
    os.close(ours)
    return code, out.decode(), screen.decode().replace("\r\n", "\n")


WORK = {"$reduce": {"input": {"$range": [0, 20000]}, "initialValue": 0, "in": {"$add": ["$$value", 1]}}}


def slow(p):
    """An expression that keeps this server busy for a tenth of a second with each document, whatever machine it runs on."""
    def once(times):
        begin = time.monotonic()
        list(p.db.users.aggregate([{"$limit": 1}, {"$project": {"x": {"$sum": {"$map": {"input": {"$range": [0, times]}, "in": WORK}}}}}]))
        return time.monotonic() - begin

    def seconds(times):
        return min(once(times) for _ in range(3))  # one may just have waited for the machine

    times = 1
    while (took := seconds(times)) < 0.1:
        times *= 2
    return {"$sum": {"$map": {"input": {"$range": [0, max(1, int(times * 0.1 / took))]}, "in": WORK}}}

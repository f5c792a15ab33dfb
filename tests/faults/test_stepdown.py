"""A primary that goes for some seconds, at each kind of moment: waited for, never called done, never left half done.

Scripted, for any server: from one message on everything is refused, for so many seconds. And real, where the server is a
replica set of its own that can be told to step down: never one that others use (MIG_URI).
"""
import os
import re
import subprocess
import threading
import time

import pymongo
import pytest

from cli_support import add_users, events, fails_late, free, three_lines
from conftest import SERVER, Project
from wireproxy import Rule, WireProxy, call_first, error, error_reply, reply_with

SECONDS = 4
CHANGE = {"transaction": "off",
          "up": [{"update": {"collection": "users", "filter": {}, "update": {"$set": {"marked": True}}}},
                 {"delete": {"collection": "users", "filter": {"n": {"$gte": 250}}}}]}
REFUSED = {"insert": {"collection": "users", "documents": [{"_id": 1}]}}
DRIVERS_OWN = {None, "hello", "isMaster", "ismaster", "ping", "endSessions", "killCursors"}


class StepsDown(Rule):
    """From the message that fits on, all but the driver's own is refused as by a node that is not the primary."""

    def __init__(self, command, collection, when=None):
        super().__init__(command, reply_with(error(10107, "not primary")), collection=collection, when=when)
        self.began = None

    def fits(self, body):
        if self.began is None and super().fits(body):
            self.began = time.monotonic()
        return self.began is not None and time.monotonic() < self.began + SECONDS and next(iter(body), None) not in DRIVERS_OWN


def sets(key, value):
    return lambda body: body["updates"][0]["u"].get("$set", {}).get(key) == value


MOMENTS = {  # what is under way: (command, collection, when), the migration's end, the exit code
    "snapshot": (("find", "users", None), [], 1),
    "step": (("delete", "users", None), [], 3),
    "restore": (("update", "users", lambda body: "marked" not in str(body["updates"][0]["u"].get("$set", {}))), [REFUSED], 3),
    "restoring is journaled": (("update", "migrationlogs", sets("run.phase", "restoring")), [REFUSED], 3),
    "success is recorded": (("update", "migrationlogs", sets("status", "applied")), [], 0),
    "failure is recorded": (("update", "migrationlogs", sets("status", "failed")), [REFUSED], 3),
    "lease is released": (("update", "migrationlocks", sets("locked", False)), [], 0),
}


def prepare(p, ends):
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(300)])
    p.write("0001_change", {**CHANGE, "up": CHANGE["up"] + ends})
    p.mig("doctor")
    p.before = p.digest()


def waits_and_is_right(p, rule, code):
    with WireProxy(p.uri, [rule]) as proxy:
        result = p.mig("up", uri=proxy.uri, code=None, timeout=400)
    assert rule.seen, result
    assert result.code == code, result
    assert free(p), result
    if code:
        assert p.digest() == p.before
        assert p.status("0001_change") == "failed"
    else:
        assert p.status("0001_change") == "applied" and p.db.users.count_documents({"marked": True}) == 250
    assert [e["outcome"] for e in events(p)] == [{0: "applied", 1: "failed", 3: "restored"}[code]]
    assert "nothing to recover" in p.mig("recover").out


@pytest.mark.parametrize("moment", MOMENTS)
def test_primary_that_goes_for_seconds_is_waited_for(project, moment):
    message, ends, code = MOMENTS[moment]
    prepare(project, ends)
    waits_and_is_right(project, StepsDown(*message), code)


def test_transactions_that_could_not_be_tried_are_not_relied_on(project):
    """Some servers take startTransaction and do all at once: what only the try can tell is not known here."""
    p = project
    add_users(p)
    p.write("0001_change", fails_late())
    before = p.digest()
    tried = Rule(None, error_reply(11602), times=None, when=lambda body: re.match(r"migprobe_[0-9a-f]+_0", str(next(iter(body.values()), None))))
    with WireProxy(p.uri, [tried]) as proxy:
        result = p.mig("up", uri=proxy.uri, code=3)
    assert tried.seen and p.digest() == before and free(p), result
    event, = events(p)
    assert event["transaction"] == "not-supported" and event["outcome"] == "restored"
    p.write("0001_change", fails_late(transaction="required"))
    p.db.migrationlocks.delete_one({"_id": "mig.capabilities"})
    with WireProxy(p.uri, [tried]) as proxy:
        three_lines(p.mig("up", uri=proxy.uri, code=1), "could not show")
    assert p.digest() == before


@pytest.fixture(scope="module")
def own_set(tmp_path_factory):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MIG_") or k in ("MIG_CACHE", "MIG_SERVER")}
    env["MIG_SERVER_STATE"] = str(tmp_path_factory.mktemp("set"))
    started = subprocess.run([SERVER, "start", "main"], env=env, text=True, stdout=subprocess.PIPE, timeout=600, check=True)
    uri = started.stdout.strip()
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=20000)
    try:
        if "setName" not in client.admin.command("hello"):
            pytest.skip("the server here is no replica set")
        yield uri
    finally:
        client.close()
        subprocess.run([SERVER, "stop", "all", "--purge"], env=env, timeout=120, check=True)


@pytest.mark.parametrize("moment", MOMENTS)
def test_real_primary_that_steps_down_is_waited_for(own_set, tmp_path, moment):
    message, ends, code = MOMENTS[moment]
    p = Project(own_set, tmp_path)
    prepare(p, ends)
    gone = threading.Event()

    def step_down(_):
        if not gone.is_set():
            gone.set()
            p.client.admin.command("replSetStepDown", SECONDS, force=True, secondaryCatchUpPeriodSecs=0)
    command, collection, when = message
    waits_and_is_right(p, Rule(command, call_first(step_down), collection=collection, when=when), code)
    assert gone.is_set()
    p.close()

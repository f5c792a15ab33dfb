"""A restore by hand that was killed, and what comes after it: nothing it sent or took away is lost, or done behind the next."""
import contextlib
import datetime
import os
import signal
import time

import pymongo
import pytest

from cli_support import three_lines, within
from conftest import documents_in
from held import patient
from wireproxy import HoldReply, Rule, WireProxy, call_first, do_but_reply_with, error, error_reply, lose_reply, reply_with


def at_work(p, name="users"):
    """What the server does on that collection, as far as it tells."""
    ops = p.client.admin.aggregate([{"$currentOp": {}}])
    return [op for op in ops if op.get("ns") == f"{p.name}.{name}" and op.get("active") and op["op"] in ("remove", "update", "insert")]


@pytest.fixture
def orphaned(txn_project):
    """A killed restore, whose removal of 790 documents the server still has: it waits for another program's transaction."""
    p = txn_project
    p.db.users.insert_many([{"_id": i, "of": "snapshot"} for i in range(10)])
    p.snapshot = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.db.users.insert_many([{"_id": i, "of": "others"} for i in range(10, 800)])
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(p.client.start_session())
        session.start_transaction()
        p.db.users.update_one({"_id": 400}, {"$set": {"open": 1}}, session=session)
        run = p.start("restore", p.snapshot, "--yes")
        try:
            held = within(20, lambda: at_work(p))
        except pymongo.errors.PyMongoError as e:
            held = False
            print(e)
        run.kill()
        run.communicate()
        p.abort = session.abort_transaction
        if not held:
            pytest.skip("the server does not make a write wait for a transaction, or does not tell what it does")
        p.safety = next(a.name.removesuffix(".mig.tar") for a in p.store.glob("*safety*.mig.tar"))
        yield p
        if session.in_transaction:
            session.abort_transaction()


def test_what_a_killed_restore_had_sent_is_ended_before_the_next_one_looks(orphaned):
    p = orphaned
    p.mig("restore", p.safety, "--yes")
    assert p.db.users.count_documents({}) == 800
    p.abort()
    time.sleep(2)
    assert p.db.users.count_documents({}) == 800, "removed behind a restore that had said so"


@pytest.mark.parametrize("command", ["restore", "recover"])
def test_what_a_killed_restore_had_sent_is_waited_for_where_it_cannot_be_ended(orphaned, command):
    p = orphaned
    refused = Rule("killSessions", reply_with(error(13, "not authorized")), times=None)
    with WireProxy(p.uri, [refused]) as proxy:
        run = p.start(*(["restore", p.safety, "--yes"] if command == "restore" else ["recover"]), uri=proxy.uri)
        time.sleep(4)
        assert run.poll() is None, run.communicate()
        assert refused.seen, "nothing had named the session"
        assert "users" not in [collection for _, collection in proxy.since(0)], "it looked while the server was still at work"
        p.abort()
        out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    rest = 800 if command == "restore" else 10
    assert p.db.users.count_documents({}) == rest
    time.sleep(2)
    assert p.db.users.count_documents({}) == rest


# ---- the journal -------------------------------------------------------------------------------------------------------

KILLED = -9


@pytest.fixture
def kept(project):
    """users and orders in a snapshot; then others write to orders."""
    p = project
    p.db.users.insert_many([{"_id": i, "of": "snapshot"} for i in range(20)])
    p.db.orders.insert_many([{"_id": i, "of": "snapshot"} for i in range(20)])
    p.before = p.digest()
    p.snapshot = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.db.orders.update_many({}, {"$set": {"of": "others"}})
    return p


def journal(p):
    return p.db.migrationlocks.find_one({"_id": "mig.restore"})


def kill_restore(p, *args, at="restore_aside:1"):
    killed = p.mig("restore", p.snapshot, "--yes", "--strategy", "swap", *args, code=None, MIG_CRASH_AT=at)
    if killed.code != KILLED:
        pytest.skip(f"{at} is not passed here: the server cannot rename a collection")
    assert journal(p)
    return killed


def asides(p):
    return [n for n in p.db.list_collection_names() if n.startswith("migaside_")]


UNSURE = {"write concern": do_but_reply_with({"ok": 1, "n": 1, "writeConcernError": {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "scripted"}}),
          "reply lost": lose_reply}


@pytest.mark.parametrize("rest", ["", "delete refused"])
@pytest.mark.parametrize("how", UNSURE)
def test_a_restore_that_says_nothing_was_changed_leaves_no_journal(kept, how, rest):
    """Its journal was written, and it did not hear so: the next `mig up` would run a restore that nobody waits for any more."""
    p = kept
    now = p.digest()
    rules = [Rule("update", UNSURE[how], collection="migrationlocks", times=2, when=lambda body: body["updates"][0]["q"]["_id"] == "mig.restore")]
    if rest:
        rules.append(Rule("delete", error_reply(8000), collection="migrationlocks", times=None))
    with WireProxy(p.uri, rules) as proxy:
        result = p.mig("restore", p.snapshot, "--yes", code=None, uri=proxy.uri)
    assert rules[0].seen, result
    if rest and journal(p):
        assert result.code == 7, result
        three_lines(result, "mig recover")
        p.mig("recover")
        assert p.digest() == p.before and not journal(p)
    elif result.code:
        assert result.code == 1 and p.digest() == now and not journal(p), result
    else:
        assert p.digest() == p.before and not journal(p)  # the driver sent it again


@pytest.mark.parametrize("at", ["restore_begin", "restore_batch"])
def test_a_run_that_a_ledger_brings_back_is_settled_by_the_recovery_that_brought_it(project, at):
    """The snapshot was taken while that run was half done: after `mig recover` nothing is in between, or it says so."""
    p = project
    p.db.users.insert_many([{"_id": i} for i in range(300)])
    before = p.digest()
    p.write("0001_change", {"transaction": "off", "up": [{"delete": {"collection": "users", "filter": {"_id": {"$lt": 100}}}},
                                                         {"insert": {"collection": "users", "documents": [{"_id": "new"}]}}]})
    p.mig("up", code=None, MIG_CRASH_AT="step_end")
    snapshot = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.mig("recover")
    assert p.digest() == before
    p.mig("up")
    killed = p.mig("restore", snapshot, "--yes", code=None, MIG_CRASH_AT=at)
    assert killed.code == KILLED and journal(p), killed
    p.mig("recover")
    assert p.status("0001_change") != "running" and not journal(p)
    assert p.digest() == before
    assert "nothing to recover" in p.mig("recover").out


@pytest.mark.parametrize("part", [["--as", "users=u_copy"], ["--only", "users"], ["--no-indexes"]], ids=["as", "only", "no-indexes"])
def test_a_part_of_a_snapshot_does_not_take_the_place_of_an_interrupted_restore(kept, part):
    p = kept
    kill_restore(p)
    waiting = journal(p)
    three_lines(p.mig("restore", p.snapshot, "--yes", *part, code=7), "a restore by hand", "--only", "mig recover")
    assert journal(p) == waiting
    p.mig("recover")
    assert p.digest() == p.before and not journal(p) and not asides(p)


def test_a_snapshot_without_a_collection_of_it_does_not_take_the_place_of_an_interrupted_restore(kept):
    p = kept
    less = p.mig("snapshot", "create", "--json", "--only", "users").lines[0]["snapshot"]
    kill_restore(p)
    waiting = journal(p)
    three_lines(p.mig("restore", less, "--yes", code=7), "a restore by hand", "does not hold orders", "mig recover")
    p.mig("restore", less, "--dry-run")
    assert journal(p) == waiting
    p.mig("recover")
    assert p.digest() == p.before and not journal(p)


def test_the_safety_snapshot_takes_the_place_of_an_interrupted_restore_and_nothing_is_lost(kept):
    """Its own snapshot is lost, too; and others wrote to what it had taken away after the safety snapshot."""
    p = kept
    now = p.digest("users", "orders")
    late = Rule(None, call_first(lambda _: p.db.orders.insert_one({"_id": "late"})),
                when=lambda body: str(body.get("renameCollection", "")).endswith(".orders"))
    with WireProxy(p.uri, [late]) as proxy:
        killed = p.mig("restore", p.snapshot, "--yes", "--strategy", "swap", uri=proxy.uri, code=None, MIG_CRASH_AT="restore_aside:1")
    if killed.code != KILLED or not asides(p):
        pytest.skip("the server cannot rename a collection")
    safety = next(a for a in p.store.glob("*safety*.mig.tar"))
    (p.store / f"{p.snapshot}.mig.tar").unlink()
    result = p.mig("restore", safety, "--yes")
    assert p.digest("users", "orders") == now and not asides(p) and not journal(p)
    saved = [a for a in p.store.glob("*displaced*.tar") if "late" in documents_in(a)]
    assert saved and str(saved[0]) in result.out + result.err, result


def test_what_a_killed_restore_took_away_is_saved_by_one_without_a_safety_snapshot(kept):
    p = kept
    p.db.orders.insert_one({"_id": "theirs"})
    kill_restore(p)
    left = asides(p)
    assert len(left) == 1
    whole = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    assert left[0] not in p.mig("snapshot", "show", whole).out, "a snapshot holds what is on its way out"
    for old in p.store.glob("*displaced*.tar"):
        old.unlink()  # as if it had been killed before: what it took away is in no archive
    result = p.mig("restore", p.snapshot, "--yes", "--no-safety-snapshot")
    assert p.digest() == p.before and not asides(p)
    saved = [a for a in p.store.glob("*displaced*.tar") if "theirs" in documents_in(a)]
    assert saved and str(saved[0]) in result.out + result.err, result


# ---- a runner that lost its lease --------------------------------------------------------------------------------------

class HoldRequest(HoldReply):
    """It reaches the server only at `released`."""

    def __call__(self, conn, message, body):
        self.reached.set()
        self.released.wait(120)
        conn.client.sendall(conn.ask(message))


@contextlib.contextmanager
def stopped_at(p, command):
    """A restore that is stopped, its lease run out, while its write of the journal is on the way."""
    hold = HoldRequest()

    def of_journal(body):
        writes = body.get("updates") or body.get("deletes") or []
        return body.get(command) == "migrationlocks" and any(w["q"].get("_id") == "mig.restore" for w in writes)
    with WireProxy(p.uri, [Rule(command, hold, when=of_journal)]) as proxy:
        first = p.start("restore", p.snapshot, "--yes", "--no-safety-snapshot", uri=patient(proxy))
        first.said = None
        try:
            assert hold.reached.wait(60), first.communicate()
            os.kill(first.pid, signal.SIGSTOP)
            past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
            p.db.migrationlocks.update_one({"_id": "mig"}, {"$set": {"expiresAt": past}})
            yield first
        finally:
            hold.released.set()
            os.kill(first.pid, signal.SIGCONT)
            first.said = first.communicate(timeout=120)


def test_a_restore_stopped_past_its_lease_leaves_nothing_for_others_to_run(kept):
    p = kept
    with stopped_at(p, "update") as first:
        p.write("0001_mark", {"up": [{"update": {"collection": "orders", "filter": {}, "update": {"$set": {"marked": 1}}}}]})
        p.mig("up")
        now = p.digest()
    assert first.returncode == 5, first.said
    assert not journal(p), "a restore that nobody began is planted"
    p.mig("up")
    assert p.mig("recover").out == "nothing to recover\n" and p.digest() == now


def test_a_restore_stopped_past_its_lease_does_not_remove_the_journal_of_another(kept):
    p = kept
    with stopped_at(p, "delete") as first:
        p.db.orders.update_many({}, {"$set": {"of": "others"}})
        killed = p.mig("restore", p.snapshot, "--yes", code=None, MIG_CRASH_AT="restore_begin:1")
        assert killed.code == KILLED
        waiting = journal(p)
    assert first.returncode == 5, first.said
    assert journal(p) == waiting
    p.mig("recover")
    assert p.digest() == p.before and not journal(p)


def test_a_recovery_keeps_its_journal_from_the_restore_that_it_goes_on_with(kept):
    """The runner was not dead: it was stopped before it removed its journal, and wakes up while another recovers."""
    p = kept
    with stopped_at(p, "delete") as first:
        p.db.orders.update_many({}, {"$set": {"of": "others"}})
        assert p.mig("recover", code=None, MIG_CRASH_AT="restore_begin:1").code == KILLED
    assert first.returncode == 5, first.said
    assert journal(p)
    p.mig("recover")
    assert p.digest() == p.before and not journal(p)

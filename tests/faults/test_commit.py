"""The commit protocol: what happens when replies are lost, transient or of unknown outcome.

Behind the proxy is a real server with transactions; only what it can't be made to do on demand is scripted.
"""
import pytest

from wireproxy import Rule, WireProxy, change_reply, do_but_reply_with, error, lose_reply, lose_request, reply_with

UNKNOWN = error(64, "waiting for replication timed out", ["UnknownTransactionCommitResult"])
TRANSIENT = error(112, "WriteConflict", ["TransientTransactionError"])


@pytest.fixture
def ready(txn_project):
    p = txn_project
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(20)])
    p.write("0001_mark", {"up": [{"update": {"collection": "users", "filter": {}, "update": {"$set": {"marked": True}}}},
                                 {"delete": {"collection": "users", "filter": {"n": {"$gte": 15}}}}]})
    p.mig("doctor")  # the capability table is tried without the proxy
    return p


def applied_once(p):
    assert p.status("0001_mark") == "applied"
    assert p.db.users.count_documents({"marked": True}) == 15
    assert p.db.users.count_documents({}) == 15
    assert [e["outcome"] for e in p.db.migrationevents.find({"name": "0001_mark"})] == ["applied"]


def unchanged(p):
    assert p.db.users.count_documents({"marked": True}) == 0
    assert p.db.users.count_documents({}) == 20


def outcome(result):
    return next(line for line in result.lines if line.get("migration"))


def test_plain_run_uses_a_transaction(ready):
    with WireProxy(ready.uri) as proxy:
        result = ready.mig("up", "--json", uri=proxy.uri)
    assert outcome(result)["transaction"] == "used"
    assert proxy.count("commitTransaction") == 1
    applied_once(ready)


def test_lost_reply_of_a_commit_that_took_effect_is_recorded_as_applied(ready):
    with WireProxy(ready.uri, [Rule("commitTransaction", lose_reply)]) as proxy:
        ready.mig("up", uri=proxy.uri)
    applied_once(ready)


def test_all_replies_of_the_commit_lost_the_ledger_decides_and_nothing_is_restored(ready):
    with WireProxy(ready.uri, [Rule("commitTransaction", lose_reply, times=None)]) as proxy:
        result = ready.mig("up", "--json", uri=proxy.uri, timeout=300)
    assert outcome(result)["outcome"] == "applied"
    applied_once(ready)
    assert not list(ready.store.glob("*displaced*"))


def test_commit_request_lost_is_sent_again(ready):
    with WireProxy(ready.uri, [Rule("commitTransaction", lose_request)]) as proxy:
        result = ready.mig("up", uri=proxy.uri, code=None)
    # either the same transaction was committed by the second request, or the server had dropped it and it ran again
    assert result.code == 0, result
    applied_once(ready)


def test_unknown_result_is_retried_until_it_is_known(ready):
    with WireProxy(ready.uri, [Rule("commitTransaction", reply_with(UNKNOWN), times=2)]) as proxy:
        ready.mig("up", uri=proxy.uri)
    assert proxy.count("commitTransaction") >= 3
    applied_once(ready)


def test_unknown_result_after_it_took_effect_is_applied(ready):
    with WireProxy(ready.uri, [Rule("commitTransaction", do_but_reply_with(UNKNOWN), times=None)]) as proxy:
        ready.mig("up", uri=proxy.uri, timeout=300)
    applied_once(ready)


def test_never_committed_and_never_known_is_not_called_applied(ready):
    """No commit ever reaches the server, and every answer is "unknown": the ledger says running, so: failed, unchanged."""
    with WireProxy(ready.uri, [Rule("commitTransaction", reply_with(UNKNOWN), times=None)]) as proxy:
        result = ready.mig("up", uri=proxy.uri, code=None, timeout=400)
    assert result.code == 1, result
    unchanged(ready)
    assert ready.status("0001_mark") == "failed"


def test_transient_error_in_a_step_runs_the_whole_transaction_again(ready):
    with WireProxy(ready.uri, [Rule("delete", reply_with(TRANSIENT), collection="users", times=2)]) as proxy:
        result = ready.mig("up", "--json", uri=proxy.uri)
    assert outcome(result)["transaction"] == "used"
    assert proxy.count("update") >= 3
    applied_once(ready)


def test_transient_error_at_the_commit_runs_the_whole_transaction_again(ready):
    with WireProxy(ready.uri, [Rule("commitTransaction", reply_with(TRANSIENT))]) as proxy:
        ready.mig("up", uri=proxy.uri)
    applied_once(ready)


def test_connection_lost_in_a_step_leaves_nothing_and_is_tried_again_or_fails_cleanly(ready):
    with WireProxy(ready.uri, [Rule("delete", lose_reply, collection="users")]) as proxy:
        result = ready.mig("up", uri=proxy.uri, code=None)
    if result.code == 0:
        applied_once(ready)
    else:
        assert result.code == 1, result
        unchanged(ready)
        assert ready.status("0001_mark") == "failed"


def test_write_error_in_an_ok_reply_aborts(ready):
    def lie(reply):
        return {"ok": 1.0, "n": reply.get("n", 0), "writeErrors": [{"index": 0, "code": 121, "errmsg": "scripted"}]}
    with WireProxy(ready.uri, [Rule("delete", change_reply(lie), collection="users")]) as proxy:
        result = ready.mig("up", uri=proxy.uri, code=1)
    assert "scripted" in result.err
    unchanged(ready)
    assert ready.status("0001_mark") == "failed"


def test_write_concern_error_of_the_commit_does_not_restore_what_was_committed(ready):
    def lie(reply):
        return dict(reply, writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"})
    with WireProxy(ready.uri, [Rule("commitTransaction", change_reply(lie), times=None)]) as proxy:
        ready.mig("up", uri=proxy.uri, code=None, timeout=400)
    applied_once(ready)


def test_lease_taken_away_before_the_commit_makes_it_fail(ready):
    def steal(body):
        ready.db.migrationlocks.update_one({"_id": "mig"}, {"$set": {"lockedBy": "somebody else"}})
    from wireproxy import call_first
    with WireProxy(ready.uri, [Rule("find", call_first(steal), collection="users")]) as proxy:
        result = ready.mig("up", uri=proxy.uri, code=None)
    assert result.code == 5, result
    unchanged(ready)
    assert ready.status("0001_mark") != "applied"

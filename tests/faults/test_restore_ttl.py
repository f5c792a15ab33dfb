"""A TTL index removes what a restore has put back: that is the server's right, and no failed restore."""
import datetime

import pytest

from wireproxy import Rule, WireProxy


@pytest.mark.parametrize("strategy", ["delta", "swap"])
def test_documents_that_expired_meanwhile_do_not_make_a_restore_fail(project, strategy):
    p = project
    old = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    p.db.sessions.insert_many([{"_id": i, "at": old if i < 5 else "never"} for i in range(20)])
    p.db.sessions.create_index("at", name="ttl", expireAfterSeconds=60)
    snapshot = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.db.sessions.delete_many({})

    def monitor(connection, message, body):
        """As the server's TTL monitor, just after the documents were put back."""
        answer = connection.ask(message)
        p.db[body["insert"]].delete_many({"at": old})
        connection.client.sendall(answer)
    rule = Rule("insert", monitor, times=None, when=lambda body: body["insert"] == "sessions" or body["insert"].startswith("migstage"))
    with WireProxy(p.uri, [rule]) as proxy:
        result = p.mig("restore", snapshot, "--yes", "--strategy", strategy, uri=proxy.uri)
        assert rule.seen
    assert p.db.sessions.count_documents({}) == 15
    assert "5 documents that were put back had expired" in result.err


def test_documents_that_did_not_expire_must_be_there(project):
    p = project
    p.db.sessions.insert_many([{"_id": i, "at": "never"} for i in range(20)])
    p.db.sessions.create_index("at", name="ttl", expireAfterSeconds=60)
    snapshot = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.db.sessions.delete_many({})

    def thief(connection, message, body):
        answer = connection.ask(message)
        p.db[body["insert"]].delete_one({"_id": 3})
        connection.client.sendall(answer)
    with WireProxy(p.uri, [Rule("insert", thief, times=None, when=lambda body: body["insert"] not in ("migrationevents", "migrationlogs"))]) as proxy:
        p.mig("restore", snapshot, "--yes", uri=proxy.uri, code=4)
    p.mig("recover")
    assert p.db.sessions.count_documents({}) == 20


def test_documents_beside_a_partial_ttl_index_must_be_there(project):
    """The server never removes them: who does is no TTL index."""
    p = project
    old = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    p.db.sessions.insert_many([{"_id": i, "at": old, "keep": True} for i in range(20)])
    p.db.sessions.create_index("at", name="ttl", expireAfterSeconds=60, partialFilterExpression={"keep": False})
    snapshot = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.db.sessions.delete_many({})

    def thief(connection, message, body):
        answer = connection.ask(message)
        p.db[body["insert"]].delete_many({"_id": {"$lt": 3}})
        connection.client.sendall(answer)
    with WireProxy(p.uri, [Rule("insert", thief, times=None, when=lambda body: body["insert"] not in ("migrationevents", "migrationlogs"))]) as proxy:
        result = p.mig("restore", snapshot, "--yes", uri=proxy.uri, code=4)
    assert "expired" not in result.err
    p.mig("recover")
    assert p.db.sessions.count_documents({}) == 20

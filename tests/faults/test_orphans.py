"""What a runner that is gone had sent is waited for, whoever recovers: another user of the database, another appName."""
import re
import time

import pymongo
import pytest

from cli_support import slow, three_lines, wait_for

SOME = 120  # documents that one update is at work on, for some seconds


def fill(p):
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(SOME)])
    p.write("0001_change", {"transaction": "off", "up": [
        {"update": {"collection": "users", "filter": {}, "update": [{"$set": {"late": slow(p)}}]}}]})


def killed_in_its_update(p, uri):
    """The runner is gone; the server is still at work for it."""
    run = p.start("up", uri=uri)
    wait_for(lambda: (p.ledger("0001_change") or {}).get("run", {}).get("phase") == "steps" or run.poll() is not None, 60)
    time.sleep(0.7)
    run.kill()
    run.communicate()
    assert p.status("0001_change") == "running"


def stays_as_before(p):
    assert p.digest() == p.before
    time.sleep(0.15 * SOME)
    assert p.digest() == p.before, "written behind a restore that had said so"


@pytest.fixture
def two(users, tmp_path):
    """Two users who may do the same; neither sees what the other does."""
    from conftest import Project
    admin = pymongo.MongoClient(users["admin"], serverSelectionTimeoutMS=20000)
    p = Project(users["admin"], tmp_path)
    try:
        for name in ("deploy", "dba"):
            admin[p.name].command("createUser", name, pwd="only-a-test", roles=["readWrite", "dbAdmin"])
    except pymongo.errors.OperationFailure as e:
        p.close()
        pytest.skip(f"this server has no users of one database: {e}")
    for name in ("deploy", "dba"):
        setattr(p, name, re.sub(r"//[^@]*@", f"//{name}:only-a-test@", users["admin"]).replace("authSource=admin", f"authSource={p.name}"))
    fill(p)
    p.mig("up", "--dry-run", uri=p.deploy)
    p.before = p.digest()
    killed_in_its_update(p, p.deploy)
    yield p
    for name in ("deploy", "dba"):
        admin[p.name].command("dropUser", name)
    p.close()


def test_a_user_who_sees_all_waits_for_what_another_had_sent(two):
    two.mig("recover", uri=two.uri)
    stays_as_before(two)


@pytest.mark.parametrize("command", ["recover", "up"])
def test_a_user_who_cannot_see_what_another_had_sent_puts_nothing_back(two, command):
    with pymongo.MongoClient(two.dba, serverSelectionTimeoutMS=20000) as dba:
        try:
            list(dba.admin.aggregate([{"$currentOp": {"allUsers": True}}]))
            pytest.skip("this server shows all operations to every user")
        except pymongo.errors.OperationFailure as e:
            assert e.code == 13
    result = two.mig(command, uri=two.dba, code=7)
    three_lines(result, f"deploy@{two.name}", "clusterMonitor")
    assert two.status("0001_change") == "running"
    two.mig("recover", uri=two.deploy)
    stays_as_before(two)


def test_a_runner_with_another_appname_is_waited_for_though_its_lease_has_gone(project):
    p = project
    fill(p)
    p.mig("doctor")
    p.before = p.digest()
    killed_in_its_update(p, p.uri + ("&" if "?" in p.uri else "/?") + "appName=ci")
    p.db.migrationlocks.delete_one({"_id": "mig"})  # as its TTL index does when it has run out
    p.mig("recover", uri=p.uri + ("&" if "?" in p.uri else "/?") + "appName=ops")
    stays_as_before(p)

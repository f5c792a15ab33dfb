"""Acknowledged documents that the majority does not have yet (w:1, the default of a set with an arbiter) are in a snapshot, too."""
import os
import shutil
import signal
import subprocess
import time

import pymongo
import pytest
from bson import Timestamp

from conftest import Project
from s3_server import free_port
from wireproxy import Rule, WireProxy, call_first, error, reply_with


def snapshot_read(body, key):
    return key in body.get("readConcern", {})


@pytest.fixture
def filled(project):
    p = project
    p.db.users.insert_many([{"_id": i} for i in range(10)])
    p.db.orders.insert_many([{"_id": i} for i in range(10)])
    p.mig("doctor")
    if p.mig("snapshot", "create", "--json").lines[0]["consistency"] != "clusterTime":
        pytest.skip("this server has no snapshot reads")
    return p


def test_the_first_snapshot_read_is_not_of_before_the_last_acknowledged_write(filled):
    p, seen = filled, []
    wait = Rule("find", call_first(seen.append), times=None, when=lambda body: snapshot_read(body, "afterClusterTime"))
    told = p.client.admin.command("ping")["operationTime"]
    with WireProxy(p.uri, [wait]) as proxy:
        made = p.mig("snapshot", "create", "--json", uri=proxy.uri).lines[0]
    assert made["consistency"] == "clusterTime" and made["documents"] >= 20 and seen
    assert all(body["readConcern"]["afterClusterTime"] >= Timestamp(told.time, told.inc) for body in seen)
    assert seen[0]["maxTimeMS"], "the wait for the majority has an end"


def test_a_majority_that_does_not_get_there_is_not_waited_for_for_ever(filled):
    p = filled
    never = Rule("find", reply_with(error(50, "operation exceeded time limit")), times=None, when=lambda body: snapshot_read(body, "afterClusterTime"))
    with WireProxy(p.uri, [never]) as proxy:
        result = p.mig("snapshot", "create", uri=proxy.uri)
    assert "each for itself" in result.err and "perCollection" in result.out and never.seen >= 1, result


# ---- a real one ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def arbitrated(tmp_path):
    """A primary, a secondary that stands still, an arbiter: what is written with w:1 stays ahead of the majority."""
    if not shutil.which("mongod"):
        pytest.skip("a set of three needs mongod on PATH")
    ports, processes = [free_port() for _ in range(3)], []
    try:
        for port in ports:
            data = tmp_path / f"db{port}"
            data.mkdir()
            processes.append(subprocess.Popen(
                ["mongod", "--replSet", "psa", "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", data, "--nounixsocket",
                 "--wiredTigerCacheSizeGB", "0.25", "--logpath", str(data / "log")], stdout=subprocess.DEVNULL))
        for port in ports:
            with pymongo.MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=60000) as up:
                up.admin.command("ping")
        first = pymongo.MongoClient("127.0.0.1", ports[0], directConnection=True, serverSelectionTimeoutMS=60000)
        first.admin.command("replSetInitiate", {"_id": "psa", "members": [
            {"_id": i, "host": f"127.0.0.1:{port}", "arbiterOnly": i == 2, "priority": int(i == 0)} for i, port in enumerate(ports)]})
        until = time.monotonic() + 90
        while not first.admin.command("hello")["isWritablePrimary"]:
            assert time.monotonic() < until, "no primary"
            time.sleep(0.2)
        p = Project(f"mongodb://127.0.0.1:{ports[0]}/?replicaSet=psa&serverSelectionTimeoutMS=20000", tmp_path)
        p.db.users.with_options(write_concern=pymongo.WriteConcern(2)).insert_many([{"_id": i} for i in range(3)])
        p.mig("snapshot", "create")
        os.kill(processes[1].pid, signal.SIGSTOP)
        yield p
        p.client.close()
        first.close()
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.long
def test_documents_that_only_the_primary_has_are_in_the_snapshot(arbitrated):
    p = arbitrated
    users = p.db.users.with_options(write_concern=pymongo.WriteConcern(1))
    users.insert_many([{"_id": i} for i in range(3, 13)])
    users.delete_one({"_id": 0})
    time.sleep(2)
    result = p.mig("snapshot", "create", "--json", "--only", "users")
    assert result.lines[0]["documents"] == 12, result

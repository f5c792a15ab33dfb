"""The server itself is killed (-9) in the middle and comes back: the run is undone or committed, never in between.

A server of our own, of the kind that scripts/server chooses here; what it had acknowledged is on its disk.
"""
import os
import pathlib
import signal
import subprocess
import threading

import pytest

from conftest import Project, has_transactions
from wireproxy import Cut, Rule, WireProxy, call_first

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "server"
COUNT = 5000
STEPS = [{"update": {"collection": "users", "filter": {}, "update": {"$inc": {"n": 1}}}},
         {"delete": {"collection": "users", "filter": {"_id": {"$gte": COUNT - 700}}}}]
FAILS = {"insert": {"collection": "users", "documents": [{"_id": "new"}, {"_id": 0}]}}


class Server:
    def __init__(self, state):
        self.dir = state / "main"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MIG_") or k in ("MIG_CACHE", "MIG_SERVER")}
        self.env["MIG_SERVER_STATE"] = str(state)
        self.uri = self.coming = None

    def call(self, *args):
        done = subprocess.run([SCRIPT, *args], env=self.env, text=True, capture_output=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self):
        self.uri = self.call("start", "main")

    def kill(self):
        for file in [self.dir / "pid", self.dir / "postgres.pid"]:
            if file.exists():
                os.kill(int(file.read_text().split()[0]), signal.SIGKILL)

    def kill_and_come_back(self, *_):
        """Comes back after two seconds, at the same port."""
        self.kill()
        self.coming = threading.Timer(2, self.start)
        self.coming.start()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("killed"))
    s.start()
    if (s.dir / "kind").read_text().strip() not in ("mongod", "embedded"):
        s.call("stop", "all", "--purge")
        pytest.skip("the server here is no process of ours that could be killed")
    yield s
    s.call("stop", "all", "--purge")


@pytest.fixture
def ready(server, tmp_path):
    p = Project(server.uri, tmp_path)
    p.db.users.insert_many([{"_id": i, "n": 0, "pad": "x" * 100} for i in range(COUNT)])
    p.mig("doctor")
    p.before = p.digest()
    yield p
    p.close()


def answers(server, p):
    server.coming.join()
    p.mig("lock-status")


@pytest.mark.parametrize("nth", [pytest.param(3, id="steps", marks=pytest.mark.long), pytest.param(7, id="restore")])
def test_server_killed_outside_a_transaction_and_the_data_is_put_back(server, ready, nth):
    """5 batches of the first step; the restore begins with the sixth update."""
    ready.write("0001_change", {"transaction": "off", "up": [*STEPS, FAILS]})
    rule = Rule("update", call_first(server.kill_and_come_back), collection="users", nth=nth)
    with WireProxy(ready.uri, [rule]) as proxy:
        result = ready.mig("up", uri=proxy.uri, code=None, timeout=400)
    answers(server, ready)
    assert rule.seen >= nth, result
    if result.code in (4, 5, 7):  # it did not come back in time
        ready.mig("recover", timeout=400)
    else:
        assert result.code == 3, result
    assert ready.digest() == ready.before, result
    assert ready.status("0001_change") == "failed"
    assert ready.mig("recover").out == "nothing to recover\n"


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_server_killed_around_a_commit(server, ready, when):
    if not has_transactions(server.uri):
        pytest.skip("this server has no transactions")
    ready.write("0001_change", {"transaction": "required", "up": STEPS})

    def after(conn, message, body):
        conn.ask(message)
        server.kill_and_come_back()
        raise Cut
    act = call_first(server.kill_and_come_back) if when == "before" else after
    with WireProxy(ready.uri, [Rule("commitTransaction", act)]) as proxy:
        result = ready.mig("up", uri=proxy.uri, code=None, timeout=400)
    answers(server, ready)
    if result.code == 7:  # not known in time
        ready.mig("recover", timeout=400)
    status = ready.status("0001_change")
    if status == "applied":
        assert ready.db.users.count_documents({"n": 1}) == COUNT - 700 == ready.db.users.count_documents({}), result
    else:
        assert when == "before" and status == "failed" and ready.digest() == ready.before, result
    assert result.code in (0, 1, 7), result

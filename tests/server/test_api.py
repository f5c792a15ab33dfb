"""`mig serve`: every endpoint against a real server, with pymongo as the judge of what it did."""
import json
import os
import re
import signal
import time
import urllib.parse

import bson
import pytest

from cli_support import add_field, add_users, events, fails_late, fields, free, hold, one, snapshots, three
from serve_support import Serve, together
from test_together import taken_meanwhile
from wireproxy import WireProxy


@pytest.fixture
def served(project):
    three(project)
    with Serve(project, "--rate-limit", "1000") as s:
        yield s


def test_status_is_the_board_with_totals_and_lease(served):
    p = served.project
    p.mig("up", "--steps", "1", "--by", "ann")
    doc = served.get("/api/migrations/status").json
    assert [(m["migration"], m["version"], m["status"]) for m in doc["migrations"]] == [
        ("0001_f1", "1.1", "applied"), ("0002_f2", "1.2", "pending"), ("0003_f3", "1.3", "pending")]
    first = doc["migrations"][0]
    assert first["by"] == "ann" and first["batch"] == 1 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["appliedAt"])
    assert doc["totals"]["applied"] == 1 and doc["totals"]["pending"] == 2 and doc["lease"]["live"] is False
    assert doc["database"] == p.name


def test_up_is_a_run_that_is_polled_and_leaves_what_mig_up_leaves(served):
    p = served.project
    answer = served.post("/api/migrations/up", {"steps": 2})
    assert answer.json["kind"] == "up" and answer.json["options"] == {"steps": 2}
    run = served.finish(answer)
    assert run["state"] == "succeeded" and run["ran"] == 2 and run["error"] is None
    assert [(r["migration"], r["outcome"]) for r in run["results"]] == [("0001_f1", "applied"), ("0002_f2", "applied")]
    assert fields(p) == ["f1", "f2"] and p.status("0002_f2") == "applied" and p.status("0003_f3") is None
    assert [r["id"] for r in served.get("/api/runs").json["runs"]] == [run["id"]]
    assert free(p) and len(snapshots(p)) == 2


def test_down_reverts_and_refuses_two_ways_at_once(served):
    p = served.project
    served.finish(served.post("/api/migrations/up"))
    run = served.finish(served.post("/api/migrations/down"))
    assert run["state"] == "succeeded" and fields(p) == ["f1", "f2"] and p.status("0003_f3") == "reverted"
    assert served.finish(served.post("/api/migrations/down", {"to": "0001_f1"}))["ran"] == 1 and fields(p) == ["f1"]
    served.post("/api/migrations/down", {"all": True, "steps": 1}).problem(400, "exclude each other")
    served.post("/api/migrations/down", {"steps": 0}).problem(400, "steps")


def test_a_plan_changes_nothing(served):
    p = served.project
    before = p.digest()
    run = served.finish(served.post("/api/migrations/up", {"dryRun": True}))
    assert [(r["migration"], r["outcome"]) for r in run["results"]] == [(f"000{n}_f{n}", "would run") for n in (1, 2, 3)]
    assert p.digest() == before and p.db.migrationlogs.count_documents({}) == 0 and not snapshots(p)


def test_a_run_that_fails_says_what_the_command_says_and_the_data_is_back(served):
    p = served.project
    p.write("0002_f2", fails_late(transaction="off"))
    before = p.digest()
    served.finish(served.post("/api/migrations/up", {"only": "0001_f1"}))
    middle = p.digest()
    run = served.finish(served.post("/api/migrations/up", {"only": "0002_f2"}))
    assert run["state"] == "failed" and run["exit"] == 3 and run["error"]["hint"] and run["results"][0]["outcome"] == "restored"
    assert "users" in run["error"]["detail"] and p.digest() == middle != before and p.status("0002_f2") == "failed"


def test_history_is_filtered_and_paged(served):
    p = served.project
    served.finish(served.post("/api/migrations/up"))
    served.finish(served.post("/api/migrations/down"))
    everything = served.get("/api/migrations/history").json
    assert everything["total"] == 4 and [e["direction"] for e in everything["events"]] == ["down", "up", "up", "up"]
    assert len(p.db.migrationevents.distinct("run")) == 4
    assert served.get("/api/migrations/history?status=reverted").json["total"] == 1
    assert served.get("/api/migrations/history?direction=up&limit=2&page=2").json["events"][0]["name"] == "0001_f1"
    assert served.get("/api/migrations/history?migration=1.2").json["total"] == 1
    assert served.get("/api/migrations/history?since=1h").json["total"] == 4
    assert served.get("/api/migrations/history?since=2031-01-01").json["total"] == 0
    for bad in ("limit=0", "limit=501", "page=x", "since=soon", "limit=1&limit=2", "colour=red", "direction=sideways", "status=%ff", "status=a%00b"):
        served.get(f"/api/migrations/history?{bad}").problem(400)


def test_a_new_migration_comes_from_a_template_or_from_checked_text(served):
    p = served.project
    made = served.post("/api/migrations", {"name": "add-notify", "template": "add-field"})
    assert made.status == 201 and made.json["migration"] == "0004_add-notify"
    text = '{\n  // kept as it is\n  "up": [{"dropIndex": {"collection": "users", "name": "x_1"}}]\n}\n'
    made = served.post("/api/migrations", {"name": "drop_it", "content": text})
    assert made.status == 201 and made.json["reversible"] is False
    assert (p.migrations / "0005_drop_it.json").read_text() == text
    p.mig("list")


WRONG = [
    ({"name": "x", "content": '{"up": [{"dropIndx": {}}]}'}, 422, "did you mean"),
    ({"name": "x", "content": '{"up": ['}, 422, ":1:"),
    ({"name": "x", "content": json.dumps({"version": "1.2", **add_field()})}, 422, "has the version 1.2 already"),
    ({"name": "../x", "template": "add-field"}, 400, "cannot be part of a file name"),
    ({"name": "a/b", "template": "add-field"}, 400, "cannot be part of a file name"),
    ({"name": "x", "template": "../../etc/passwd"}, 400, "there is no template"),
    ({"name": "x"}, 400, "neither is given"),
    ({"name": "x", "template": "index", "content": "{}"}, 400, "both are given"),
    ({"template": "index"}, 400, "lacks the argument"),
    ({"name": "x" * 101, "template": "index"}, 400, "at most 100"),
]


def test_what_cannot_be_a_migration_is_not_written(served):
    before = sorted(served.project.folder.rglob("*.json"))
    for body, status, words in WRONG:
        served.post("/api/migrations", body).problem(status, words)
        assert sorted(served.project.folder.rglob("*.json")) == before
        assert not list(served.project.migrations.glob("*.tmp"))


def test_migrations_made_at_the_same_time_do_not_replace_each_other(served):
    made = together(8, lambda i: served.post("/api/migrations", {"name": f"n{i}", "template": "index"}))
    assert all(a.status == 201 for a in made), made
    assert len({a.json["version"] for a in made}) == 8 and len(list(served.project.migrations.glob("*.json"))) == 11
    served.project.mig("list")


@pytest.mark.parametrize("command, nth", [("find", 2), ("findAndModify", 1)])
def test_release_takes_no_lease_but_the_one_that_was_confirmed(project, command, nth):
    hold(project)
    confirmed = project.db.migrationlocks.find_one({"_id": "mig"})["lockedBy"]
    with WireProxy(project.uri, [taken_meanwhile(project, command, nth)]) as proxy, Serve(project, uri=proxy.uri) as s:
        s.post("/api/migrations/lock/release", {"confirm": confirmed}).problem(409, "meanwhile", "lock-status")
        lease = project.db.migrationlocks.find_one({"_id": "mig"})
        assert lease["locked"] and lease["host"] == "new.example" and lease["fence"] == 77


def test_lease_is_shown_and_released_only_for_the_holder_that_is_confirmed(served):
    p = served.project
    lease = served.get("/api/migrations/lock/status").json
    assert lease["locked"] is False and lease["expiresAt"] is None and lease["lockedAt"] is None
    served.post("/api/migrations/lock/release", {"confirm": "nobody"}).problem(409, "the lease is free")
    hold(p)
    lease = served.get("/api/migrations/lock/status").json
    assert lease["locked"] and lease["host"] == "far.example" and lease["pid"] == 4711
    run = served.finish(served.post("/api/migrations/up"))
    assert run["state"] == "failed" and run["exit"] == 5 and "far.example" in json.dumps(run["error"])
    served.post("/api/migrations/lock/release", {}).problem(400, "confirm")
    served.post("/api/migrations/lock/release", {"confirm": "yes"}).problem(409, "another one than you confirm")
    assert not free(p)
    assert served.post("/api/migrations/lock/release", {"confirm": lease["lockedBy"]}).json["host"] == "far.example"
    assert free(p) and served.finish(served.post("/api/migrations/up"))["state"] == "succeeded"
    lease = served.get("/api/migrations/lock/status").json
    assert lease["locked"] is False and lease["expiresAt"] is None and lease["lockedAt"].startswith("20"), "free since, not of 1970"


def test_snapshots_are_listed_verified_and_restored_when_confirmed(served):
    p = served.project
    before = p.digest("users")
    served.finish(served.post("/api/migrations/up", {"steps": 1}))
    listed = served.get("/api/snapshots").json
    assert listed["total"] == 1
    s = listed["snapshots"][0]
    assert s["id"] + ".mig.tar" == snapshots(p)[0].name and s["bytes"] == snapshots(p)[0].stat().st_size == listed["bytes"]
    assert s["documents"] == 5 and s["readable"] and s["verified"] is None and s["collections"] == ["users"] and s["age"] >= 0
    run = served.finish(served.post(f"/api/snapshots/{s['id']}/verify"))
    assert run["state"] == "succeeded" and run["results"] == [{"snapshot": s["id"], "good": True}]
    assert served.get("/api/snapshots").json["snapshots"][0]["verified"] == "good"
    path = f"/api/snapshots/{s['id']}/restore"
    served.post(path, {}).problem(409, "must be confirmed")
    served.post(path, {"confirm": "yes"}).problem(409, "must be confirmed")
    served.post(path, {"confirm": s["id"], "strategy": "magic"}).problem(400, "delta")
    dry = served.finish(served.post(path, {"dryRun": True}))
    assert dry["state"] == "succeeded" and dry["results"][-1]["restored"] is False and fields(p) == ["f1"]
    run = served.finish(served.post(path, {"confirm": s["id"]}))
    assert run["state"] == "succeeded" and run["results"][-1]["restored"] and run["results"][-1]["reverted"] == "0001_f1"
    assert p.digest("users") == before and p.status("0001_f1") == "reverted"
    assert any("safety" in x["reason"] for x in served.get("/api/snapshots").json["snapshots"])


@pytest.mark.parametrize("how", ["in place", "another file"])
def test_a_snapshot_is_not_called_good_once_its_file_was_touched_whatever_its_times_say(served, how):
    served.finish(served.post("/api/migrations/up", {"steps": 1}))
    path = snapshots(served.project)[0]
    name, was, raw = path.name.removesuffix(".mig.tar"), path.stat(), bytearray(path.read_bytes())
    assert served.finish(served.post(f"/api/snapshots/{name}/verify"))["state"] == "succeeded"
    assert served.get("/api/snapshots").json["snapshots"][0]["verified"] == "good"
    raw[raw.index(b"\x28\xb5\x2f\xfd") + 20] ^= 1
    if how == "another file":
        path.rename(path.with_name("away"))
    path.write_bytes(raw)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)
    assert served.get("/api/snapshots").json["snapshots"][0]["verified"] is None


def test_a_damaged_snapshot_is_found_and_never_restored(served):
    p = served.project
    served.finish(served.post("/api/migrations/up", {"steps": 1}))
    path = snapshots(p)[0]
    raw = bytearray(path.read_bytes())
    at = raw.index(b"\x28\xb5\x2f\xfd") + 20
    raw[at] ^= 1
    path.chmod(0o600)
    path.write_bytes(raw)
    now, name = p.digest(), path.name.removesuffix(".mig.tar")
    run = served.finish(served.post(f"/api/snapshots/{name}/verify"))
    assert run["state"] == "failed" and run["error"]["code"] == "archive"
    assert served.get("/api/snapshots").json["snapshots"][0]["verified"] == "damaged"
    assert served.finish(served.post(f"/api/snapshots/{name}/restore", {"confirm": name}))["state"] == "failed"
    assert p.digest() == now


def test_encrypted_snapshots_are_made_verified_and_restored_and_without_the_key_called_neither_good_nor_damaged(project, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    add_users(project)
    project.write("0001_f", add_field())
    before = project.digest("users")
    with Serve(project, MIG_KEY_FILE=key) as served:
        served.finish(served.post("/api/migrations/up"))
        (s,) = served.get("/api/snapshots").json["snapshots"]
        assert s["encrypted"] is True
        assert served.finish(served.post(f"/api/snapshots/{s['id']}/verify"))["results"] == [{"snapshot": s["id"], "good": True}]
    with Serve(project) as served:
        run = served.finish(served.post(f"/api/snapshots/{s['id']}/verify"))
        assert run["state"] == "failed" and run["results"] == [] and "is encrypted" in json.dumps(run["error"])
        assert served.get("/api/snapshots").json["snapshots"][0]["verified"] is None
        run = served.finish(served.post(f"/api/snapshots/{s['id']}/restore", {"confirm": s["id"]}))
        assert run["state"] == "failed" and "is encrypted" in json.dumps(run["error"])
    with Serve(project, MIG_KEY_FILE=key) as served:
        assert served.finish(served.post(f"/api/snapshots/{s['id']}/restore", {"confirm": s["id"]}))["state"] == "succeeded"
    assert project.digest("users") == before
    assert project.mig("serve", "--passphrase", code=2).err.startswith("error: serve asks for no passphrase")


def test_ids_from_requests_never_become_paths(served):
    p = served.project
    p.mig("up", "--steps", "1")
    outside = p.folder / "x.mig.tar"
    for name in ["..%2f..%2fetc%2fpasswd", "%2e%2e", "x.mig.tar", "nothing", "2026", ".", "%00", "a%2fb"]:
        outside.write_bytes(snapshots(p)[0].read_bytes())
        for what, body in (("verify", {}), ("restore", {"confirm": urllib.parse.unquote(name)})):
            assert served.post(f"/api/snapshots/{name}/{what}", body).status in (400, 404)
        assert served.get(f"/api/runs/{name}").status == 404


def test_files_that_come_while_serving_are_seen(served):
    served.project.write("0004_f4", add_field(field="f4", version="1.4"))
    assert len(served.get("/api/migrations/status").json["migrations"]) == 4
    (served.project.migrations / "0005_bad.json").write_text("{")
    served.get("/api/migrations/status").problem(422, "0005_bad.json")
    (served.project.migrations / "0005_bad.json").unlink()
    assert served.get("/api/migrations/status").status == 200


def test_who_asked_by_token_stands_in_the_ledger(project):
    from serve_support import READ, WRITE, tokens_file
    three(project)
    with Serve(project, "--tokens", tokens_file(project)) as s:
        run = s.finish(s.post("/api/migrations/up", {"steps": 1}, token=WRITE), token=READ)
        assert run["by"] == "deploy" and project.ledger("0001_f1")["appliedBy"] == "deploy"
        assert events(project)[0]["by"] == "deploy"


def test_runs_wait_for_each_other_and_too_many_are_refused(served):
    p = served.project
    p.db.users.delete_many({})
    p.db.users.insert_many([{"_id": i, "pad": "x" * 200} for i in range(20000)])
    answers = together(24, lambda i: served.post("/api/migrations/up", {"steps": 1, "dryRun": i > 0}))
    taken = [a for a in answers if a.status == 202]
    for a in answers:
        if a.status != 202:
            a.problem(503, "too many runs wait")
            assert int(a.headers["Retry-After"]) > 0
    assert len(taken) >= 16
    for a in taken:
        assert served.finish(a)["state"] == "succeeded"


def test_metrics_are_prometheus_text(served):
    served.finish(served.post("/api/migrations/up", {"steps": 1}))
    answer = served.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    text = answer.data.decode()
    assert 'mig_migrations{status="applied"} 1\n' in text and "\nmig_up 1\n" in text
    assert all(re.fullmatch(r'[a-z_]+(\{.*\})? [-+0-9.e]+', line) for line in text.splitlines() if not line.startswith("#"))


def big(p):
    p.db.users.insert_many([{"_id": 1000 + i, "n": 0, "pad": "x" * 50} for i in range(20000)])
    p.write("0001_f1", {"up": [{"update": {"collection": "users", "filter": {}, "update": {"$inc": {"k": 1}}}}] * 4, "transaction": "off"})


def test_progress_of_a_run_here_and_of_one_elsewhere_is_live(served):
    p = served.project
    big(p)
    answer = served.post("/api/migrations/up", {"steps": 1})
    seen, rows = [], []
    until = time.monotonic() + 90
    while time.monotonic() < until:
        run = served.get(f"/api/runs/{answer.json['id']}").json
        if run["state"] not in ("queued", "running"):
            break
        seen.append(run["progress"])
        time.sleep(0.03)
        rows += [m for m in served.get("/api/migrations/status").json["migrations"] if m["status"] == "running"]
    assert run["state"] == "succeeded"
    assert any(x and x["total"] and 0 <= x["percent"] <= 100 for x in seen), seen[-3:]
    assert any(m["going"] and m["phase"] for m in rows)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_or_sighup_undoes_the_run_in_hand_cancels_the_rest_and_exits_0(project, number):
    three(project)
    big(project)
    before = project.digest("users")
    s = Serve(project)
    s.post("/api/migrations/up", {"steps": 1})
    s.post("/api/migrations/up")
    until = time.monotonic() + 60
    while time.monotonic() < until and (project.ledger("0001_f1") or {}).get("run", {}).get("phase") != "steps":
        time.sleep(0.02)
    assert s.stop(number) == 0, s.log()
    assert project.digest("users") == before and project.status("0001_f1") == "failed"
    assert project.ledger("0001_f1")["run"]["phase"] == "done" and project.status("0002_f2") is None and free(project)
    assert one(project.mig("status", "--json"), "restoreInterrupted")["unfinished"] == 0


def test_answers_are_plain_json_without_extended_types(served):
    p = served.project
    served.finish(served.post("/api/migrations/up"))
    p.db.migrationevents.update_one({}, {"$set": {"x": bson.ObjectId("0123456789abcdef01234567")}})
    for path in ("/api/migrations/status", "/api/migrations/history", "/api/snapshots", "/api/runs", "/api/migrations/lock/status"):
        assert b"$date" not in served.get(path).data and b"$oid" not in served.get(path).data

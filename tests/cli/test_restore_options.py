"""restore --only, --as, --replace, --no-indexes, and snapshots through pipes; killed in the middle, too."""
import os
import pathlib
import signal
import subprocess
import time

import pytest

from cli_support import add_users, free, one, ours_aside, picture, snapshots, three_lines, wait_for
from conftest import RAW
from wireproxy import Rule, WireProxy, call_first


def create(p, *args):
    return one(p.mig("snapshot", "create", "--json", *args), "snapshot")["snapshot"]


def raw(p, name):
    return sorted(d.raw for d in p.client.get_database(p.name, codec_options=RAW)[name].find())


@pytest.fixture
def kept(project):
    """users and orders with an index each; a snapshot; then both are changed."""
    add_users(project, 300)
    project.db.users.create_index([("email", 1)], name="by_email", unique=True)
    project.db.orders.insert_many([{"_id": i, "n": i} for i in range(20)])
    project.db["with.dot"].insert_one({"_id": 1})
    project.users = raw(project, "users")
    project.id = create(project)
    project.db.users.update_many({"_id": {"$lt": 100}}, {"$set": {"name": "changed"}})
    project.db.users.delete_many({"_id": {"$gte": 290}})
    project.db.orders.delete_many({})
    return project


# ---- --as --------------------------------------------------------------------------------------------------------------

def test_as_puts_a_collection_beside_the_original_and_touches_nothing_else(kept):
    before = picture(kept)
    result = kept.mig("restore", kept.id, "--as", f"{kept.name}.users={kept.name}.users_may", "--yes", "--json")
    row = one(result, "collection")
    assert (row["collection"], row["target"], row["created"]) == ("users", "users_may", True)
    assert raw(kept, "users_may") == kept.users
    assert {i["name"] for i in kept.db.users_may.list_indexes()} == {"_id_", "by_email"}
    after = picture(kept)
    after.pop("users_may")
    for name in ("users", "orders", "with.dot"):
        assert after[name] == before[name]
    assert free(kept) and set(ours_aside(kept)) == {"users", "orders", "with.dot", "users_may"}
    assert kept.db.migrationlocks.find_one({"_id": "mig.restore"}) is None


def test_as_takes_several_and_plain_names(kept):
    kept.mig("restore", kept.id, "--as", "users=u2", "--as", f"with.dot={kept.name}.other.dot", "--yes")
    assert raw(kept, "u2") == kept.users and kept.db["other.dot"].count_documents({}) == 1


def test_as_into_another_database_named_by_db(kept, tmp_path):
    other = type(kept)(kept.uri, tmp_path / "other")
    try:
        before = picture(kept)
        kept.mig("restore", kept.id, "--db", other.name, "--as", f"{kept.name}.users={other.name}.users", "--yes")
        assert sorted(d.raw for d in other.client.get_database(other.name, codec_options=RAW).users.find()) == kept.users
        assert picture(kept) == before
    finally:
        other.close()


REFUSED = [
    (["--as", "users=orders"], 1, "is there already"),
    (["--as", "users=users"], 2, "original itself"),
    (["--as", "users=users", "--replace"], 2, "original itself"),
    (["--as", "users"], 2, "SOURCE=TARGET"),
    (["--as", "=x"], 2, "SOURCE=TARGET"),
    (["--as", "users="], 2, "SOURCE=TARGET"),
    (["--as", "users=elsewhere.users"], 2, "--db"),
    (["--as", "nothere=x"], 2, "nothere"),
    (["--as", "users=x", "--as", "orders=x"], 2, "twice"),
    (["--as", "users=x", "--as", "users=y"], 2, "twice"),
    (["--as", "users=migrationlogs"], 2, "migrationlogs"),
    (["--as", "users=$x"], 2, "$x"),
    (["--as", "users=x", "--only", "users"], 2, "exclude"),
    (["--replace"], 2, "--as"),
    (["--only", "elsewhere.users"], 2, "elsewhere.users"),
    (["--documents"], 2, "--dry-run"),
]


def test_what_is_not_meant_is_refused_before_anything_is_written(kept):
    before = picture(kept)
    files = snapshots(kept)
    for args, code, word in sorted(REFUSED, key=lambda case: -case[1]):
        three_lines(kept.mig("restore", kept.id, *args, "--yes", code=code), word)
        after = picture(kept)
        if code == 1:  # the lease was taken and given back
            for name in ("migrationlocks", "migrationlogs", "migrationevents"):
                before.pop(name, None), after.pop(name, None)
        assert after == before and snapshots(kept) == files, args


def test_as_replaces_only_when_told_and_keeps_what_was_there(kept):
    kept.db.beside.insert_many([{"_id": 1, "mine": True}, {"_id": 1000}])
    there = raw(kept, "beside")
    kept.mig("restore", kept.id, "--as", "users=beside", "--yes", code=1)
    assert raw(kept, "beside") == there
    safety = one(kept.mig("restore", kept.id, "--as", "users=beside", "--replace", "--yes", "--json"), "safetySnapshot")["safetySnapshot"]
    assert raw(kept, "beside") == kept.users
    kept.mig("restore", safety, "--yes")
    assert raw(kept, "beside") == there


@pytest.mark.parametrize("when", [lambda body: "mig.restore" in str(body.get("updates")), lambda body: str(body.get("to")).endswith(".u2")],
                         ids=["before the first look", "before the rename"])
def test_as_overwrites_nothing_that_others_make_meanwhile(kept, when):
    p = kept
    theirs = [{"_id": i, "theirs": True} for i in range(1000, 1005)]
    before = picture(p)
    rule = Rule(None, call_first(lambda _: p.db.u2.insert_many(theirs)), when=when)
    with WireProxy(p.uri, [rule]) as proxy:
        result = p.mig("restore", p.id, "--as", "users=u2", "--yes", uri=proxy.uri, code=1)
    assert rule.seen
    three_lines(result, ".u2 is there already", "--replace")
    assert list(p.db.u2.find()) == theirs
    assert set(ours_aside(p)) == {"users", "orders", "with.dot", "u2"} and free(p)
    assert all(picture(p)[name] == before[name] for name in ("users", "orders", "with.dot"))
    p.mig("recover")  # nothing waits that would overwrite it now
    assert list(p.db.u2.find()) == theirs
    p.mig("restore", p.id, "--as", "users=u2", "--replace", "--yes")
    assert raw(p, "u2") == p.users


def test_as_of_an_applied_migrations_snapshot_leaves_the_ledger_alone(project):
    add_users(project)
    project.write("0001_x", {"up": [{"delete": {"collection": "users", "filter": {"_id": 1}}}]})
    project.mig("up")
    name = snapshots(project)[0].name.removesuffix(".mig.tar")
    project.mig("restore", name, "--as", "users=before", "--yes")
    assert project.status("0001_x") == "applied"
    assert project.db.before.count_documents({}) == 5 and project.db.users.count_documents({}) == 4


def test_a_dry_run_of_as_writes_nothing(kept):
    before = picture(kept)
    row = one(kept.mig("restore", kept.id, "--as", "users=u2", "--dry-run", "--json"), "collection")
    assert row["missing"] == 300 and row["target"] == "u2"
    assert picture(kept) == before


@pytest.mark.parametrize("at", ["restore_batch", "restore_staged", "restore_renamed", "record_before"])
def test_as_killed_in_the_middle_is_finished_by_recover_and_the_original_never_changes(kept, at):
    originals = {name: raw(kept, name) for name in ("users", "orders", "with.dot")}
    result = kept.mig("restore", kept.id, "--as", "users=u2", "--yes", code=None, MIG_CRASH_AT=f"{at}:1")
    assert {name: raw(kept, name) for name in originals} == originals
    if result.code != -signal.SIGKILL:
        pytest.skip(f"{at} was not reached here")
    kept.mig("recover")
    assert raw(kept, "u2") == kept.users
    assert {name: raw(kept, name) for name in originals} == originals
    assert set(ours_aside(kept)) == {*originals, "u2"} and free(kept)


# ---- --only, --no-indexes ----------------------------------------------------------------------------------------------

def test_only_takes_names_with_the_database_in_front(kept):
    kept.mig("restore", kept.id, "--only", f"{kept.name}.users", "--only", "with.dot", "--yes")
    assert raw(kept, "users") == kept.users and kept.db.orders.count_documents({}) == 0


def test_no_indexes_leaves_indexes_as_they_are(kept):
    kept.db.users.drop_index("by_email")
    kept.db.users.create_index([("age", 1)], name="by_age")
    kept.db.orders.drop()
    kept.mig("restore", kept.id, "--no-indexes", "--yes")
    assert raw(kept, "users") == kept.users
    assert {i["name"] for i in kept.db.users.list_indexes()} == {"_id_", "by_age"}
    assert kept.db.orders.count_documents({}) == 20
    kept.db.u3.drop()
    kept.mig("restore", kept.id, "--no-indexes", "--as", "users=u3", "--yes")
    assert {i["name"] for i in kept.db.u3.list_indexes()} == {"_id_"} and raw(kept, "u3") == kept.users


def test_no_indexes_never_takes_the_place_of_a_collection_that_has_some(kept):
    before = picture(kept)["users"]
    three_lines(kept.mig("restore", kept.id, "--no-indexes", "--strategy", "swap", "--only", "users", "--yes", code=1), "--no-indexes")
    assert picture(kept)["users"] == before
    assert kept.db.migrationlocks.find_one({"_id": "mig.restore"}) is None  # nothing was begun, nothing waits


# ---- pipes -------------------------------------------------------------------------------------------------------------

def piped(p, *args, data=None, code=0, **env):
    done = subprocess.run([os.environ["MIG_BIN"], *args], cwd=p.folder, env=p.environment(**env), input=data, capture_output=True, timeout=120)
    assert done.returncode == code, done.stderr.decode()
    return done


def test_a_snapshot_goes_through_a_pipe_and_back(kept, tmp_path):
    now = kept.digest()
    done = piped(kept, "snapshot", "create", "-")
    assert done.stdout[:17] == b"mig-snapshot.json" and b"documents" in done.stderr
    assert len(snapshots(kept)) == 1 and not kept.partials()  # only that of the fixture: nothing stays in the store
    file = tmp_path / "piped.mig.tar"
    file.write_bytes(done.stdout)
    file.chmod(0o600)
    kept.mig("snapshot", "verify", file)
    kept.db.users.delete_many({})
    done = piped(kept, "restore", "-", "--yes", data=done.stdout)
    assert kept.digest() == now and b"is kept as" in done.stderr
    assert len(snapshots(kept)) == 3  # and the safety snapshot


def test_what_comes_by_a_pipe_is_whole_before_the_first_write(kept):
    data = pathlib.Path(snapshots(kept)[0]).read_bytes()
    before = picture(kept)
    files = snapshots(kept)
    for spoiled in (data[:-1], data[:3000], b"", data[:2000] + bytes([data[2000] ^ 1]) + data[2001:], data + b"\0"):
        done = piped(kept, "restore", "-", "--yes", data=spoiled, code=1)
        assert b"not a whole snapshot" in done.stderr
        assert picture(kept) == before and snapshots(kept) == files and not kept.partials()


def test_a_dry_run_from_a_pipe_keeps_nothing(kept):
    files = snapshots(kept)
    done = piped(kept, "restore", "-", "--dry-run", "--json", data=files[0].read_bytes())
    assert b'"missing"' in done.stdout
    assert snapshots(kept) == files and not kept.partials()


def test_a_restore_from_a_pipe_that_was_killed_is_finished_by_recover(kept):
    data = snapshots(kept)[0].read_bytes()
    done = subprocess.run([os.environ["MIG_BIN"], "restore", "-", "--yes"], cwd=kept.folder,
                          env=kept.environment(MIG_CRASH_AT="restore_batch:1"), input=data, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    kept.mig("recover")
    assert raw(kept, "users") == kept.users and kept.db.orders.count_documents({}) == 20


def test_a_pipe_needs_yes_and_create_no_json(kept):
    three_lines(kept.mig("restore", "-", code=2), "confirmation")
    three_lines(kept.mig("snapshot", "create", "-", "--json", code=2))
    three_lines(kept.mig("snapshot", "create", "users", code=2), "--only")


def test_a_reader_that_goes_away_is_an_error(kept):
    process = subprocess.Popen([os.environ["MIG_BIN"], "snapshot", "create", "-"], cwd=kept.folder, env=kept.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=60) == 1 and b"standard output" in err
    assert len(snapshots(kept)) == 1


@pytest.mark.parametrize("command", [("restore", "-", "--yes"), ("snapshot", "import", "-"), ("snapshot", "create", "-")], ids=" ".join)
def test_a_pipe_that_stalls_hears_a_signal(kept, command):
    kept.db.noise.insert_many([{"_id": i, "noise": os.urandom(8000)} for i in range(60)])  # more than a pipe takes
    before, files = kept.digest(), snapshots(kept)
    process = subprocess.Popen([os.environ["MIG_BIN"], *command], cwd=kept.folder, env=kept.environment(), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if "create" not in command:
        process.stdin.write(files[0].read_bytes()[:700])
        process.stdin.flush()
    time.sleep(2)
    assert process.poll() is None
    process.terminate()
    wait_for(lambda: process.poll() is not None, 20)
    out, err = process.communicate()
    assert process.returncode == 130 and b"signal" in err, err
    assert kept.digest() == before and snapshots(kept) == files and not kept.partials()

"""restore by hand: from nothing but the file and a server; never without a yes; never what is lost is lost for good."""
import pathlib
import subprocess

import pytest

from cli_support import (DESTRUCTIVE, NEVER, add_field, add_users, events, free, on_terminal, one, ours_aside, picture,
                         snapshots, three_lines, with_validator)
from conftest import Project, documents_in
from wireproxy import Rule, WireProxy, call_first, error, reply_with


def fill(p):
    add_users(p, 50)
    p.db.users.create_index([("email", 1)], name="by_email", unique=True)
    with_validator(p, "orders", {"user": {"$gte": 0}})
    p.db.orders.insert_many([{"_id": i, "user": i % 7, "lines": [{"sku": str(i)}] * 3} for i in range(30)])


@pytest.fixture
def kept(project):
    """A filled database, a snapshot of it, and its digest."""
    fill(project)
    project.digest_kept = project.digest()
    made = project.mig("snapshot", "create", "--json", "--only", "users", "--only", "orders")
    project.id = one(made, "snapshot")["snapshot"]
    return project


def damage(p):
    p.db.users.delete_many({"_id": {"$lt": 5}})
    p.db.users.update_many({"_id": {"$gte": 40}}, {"$set": {"name": "changed"}})
    p.db.users.insert_one({"_id": "extra", "email": "extra"})
    p.db.users.drop_index("by_email")
    p.db.orders.drop()


@pytest.mark.parametrize("strategy", [[], ["--strategy", "delta"], ["--strategy", "swap"]], ids=["auto", "delta", "swap"])
def test_changed_documents_and_indexes_are_put_back(kept, strategy):
    kept.db.users.delete_many({"_id": {"$lt": 5}})
    kept.db.users.update_many({"_id": {"$gte": 40}}, {"$set": {"name": "changed"}})
    kept.db.users.insert_one({"_id": "extra", "email": "extra"})
    kept.db.users.drop_index("by_email")
    result = kept.mig("restore", kept.id, "--yes", "--json", *strategy)
    assert kept.digest() == kept.digest_kept
    users = next(line for line in result.lines if line.get("collection") == "users")
    assert (users["missing"], users["changed"], users["extra"]) == (5, 10, 1)
    assert not strategy or users["strategy"] == strategy[1]


def test_dropped_collection_is_put_back_with_its_options(kept):
    kept.db.orders.drop()
    result = kept.mig("restore", kept.id, "--yes")
    assert kept.digest() == kept.digest_kept and "was missing" in result.out


def test_whole_database_comes_from_nothing_but_the_file_and_a_server(kept, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "x.mig.tar").write_bytes(snapshots(kept)[0].read_bytes())
    other = Project(kept.uri, alone, kept.name + "_b")
    other.migrations.rmdir()
    try:
        assert other.name not in other.client.list_database_names()
        other.mig("restore", "./x.mig.tar", "--yes")
        assert other.digest() == kept.digest_kept
        kept.client.drop_database(kept.name)  # and under its own name, when all is gone
        kept.mig("restore", alone / "x.mig.tar", "--yes", "--store", "new")
        assert kept.digest() == kept.digest_kept
    finally:
        other.close()


def test_restore_of_what_does_not_differ_changes_nothing(kept):
    result = kept.mig("restore", kept.id, "--yes")
    assert "nothing differed" in result.out and kept.digest() == kept.digest_kept


def test_collections_of_later_are_named_and_stay(project):
    fill(project)
    project.write("0001_visits", {"up": [{"createCollection": {"collection": "visits"}}]})
    made = one(project.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    project.mig("up")
    project.db.visits.insert_one({"_id": 1})
    assert "visits" in project.mig("snapshot", "diff", made, code=6).out
    dry = project.mig("restore", made, "--dry-run")
    assert "visits " in dry.out and "not in the snapshot" in dry.out
    result = project.mig("restore", made, "--yes")
    assert "visits " in result.out and "not as it was then" in result.out and "the database is as in" not in result.out
    line = one(project.mig("restore", made, "--yes", "--json"), "stays")
    assert line["stays"] == ["visits"], "the ledger follows by itself"
    assert project.db.visits.count_documents({}) == 1, "what no snapshot holds is not dropped"
    assert one(project.mig("restore", made, "--only", "users", "--yes", "--json"), "stays")["stays"] == []
    for name in line["stays"]:
        project.db.drop_collection(name)
    assert one(project.mig("restore", made, "--dry-run", "--json"), "stays")["stays"] == []


def test_only_restores_just_that(kept):
    damage(kept)
    users = kept.digest("users")
    kept.mig("restore", kept.id, "--yes", "--only", "orders")
    assert kept.digest("users") == users and kept.db.orders.count_documents({}) == 30


def test_only_of_what_the_snapshot_lacks_is_refused_and_leaves_nothing_unfinished(kept):
    damage(kept)
    before = kept.digest()
    three_lines(kept.mig("restore", kept.id, "--yes", "--only", "nowhere", code=2), "nowhere", "snapshot show")
    assert kept.digest() == before
    kept.mig("up")
    assert kept.mig("recover").out == "nothing to recover\n"
    kept.mig("restore", kept.id, "--yes")
    assert kept.digest() == kept.digest_kept


def test_dry_run_tells_what_would_change_and_writes_nothing(kept):
    damage(kept)
    before, files = picture(kept), snapshots(kept)
    result = kept.mig("restore", kept.id, "--dry-run")
    assert "5 missing" in result.out and "10 changed" in result.out and "1 extra" in result.out
    assert "nothing was written" in result.out
    assert picture(kept) == before and snapshots(kept) == files


def test_dry_run_brings_no_database_into_being(kept, tmp_path):
    name = kept.name + "_none"
    result = kept.mig("restore", kept.id, "--dry-run", "--db", name)
    assert name not in kept.client.list_database_names()
    assert f"the snapshot is of the database {kept.name}, and goes to " in result.err and f"/{name}" in result.err
    assert "is of the database" not in kept.mig("restore", kept.id, "--dry-run").err


def replaced(path):
    """By the same bytes: what counts is that somebody has put another file there."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    path.chmod(0o600)


@pytest.mark.parametrize("how", ["pruned", "replaced"])
def test_a_snapshot_that_goes_after_it_was_verified_is_not_restored(kept, how):
    """verify, then the lease: prune has its turn between the two. Killed, such a restore could never go on."""
    damage(kept)
    before, path = kept.digest(), kept.store / f"{kept.id}.mig.tar"
    act = call_first(lambda _: kept.mig("snapshot", "prune", kept.id) if how == "pruned" else replaced(path))
    rule = Rule("update", act, collection="migrationlocks")
    with WireProxy(kept.uri, [rule]) as proxy:
        result = kept.mig("restore", kept.id, "--yes", uri=proxy.uri, code=1)
    three_lines(result, path.name, "nothing was written")
    assert rule.seen and path.exists() == (how == "replaced")
    assert kept.digest() == before and free(kept)
    assert kept.mig("recover").out == "nothing to recover\n"


def test_restore_that_fails_before_it_wrote_anything_leaves_nothing_unfinished(kept):
    damage(kept)
    before = kept.digest()
    kept.mig("doctor")
    denied = Rule("find", reply_with(error(13, "not authorized")), collection="users", times=None)
    with WireProxy(kept.uri, [denied]) as proxy:
        result = kept.mig("restore", kept.id, "--yes", "--no-safety-snapshot", uri=proxy.uri, code=1)
    assert "not authorized" in result.err and denied.seen
    assert kept.digest() == before and free(kept)
    assert kept.mig("recover").out == "nothing to recover\n" and kept.digest() == before
    assert [e["outcome"] for e in events(kept, direction="restore")] == ["failed"]


# ---- asking ------------------------------------------------------------------------------------------------------------

def test_without_yes_and_without_a_terminal_it_is_refused(kept):
    damage(kept)
    before = picture(kept)
    for stdin in ("", "yes\n"):
        three_lines(kept.mig("restore", kept.id, code=2, stdin=stdin), "confirmation", "no terminal", "--yes")
    assert picture(kept) == before


@pytest.mark.parametrize("answer", ["no\n", "\n", "y\n", "yes please\n", "\x04"])
def test_on_a_terminal_anything_but_yes_leaves_everything(kept, answer):
    damage(kept)
    before, files = picture(kept), snapshots(kept)
    code, _, screen = on_terminal(kept, "restore", kept.id, answer=answer)
    assert code == 1 and kept.id in screen and kept.name in screen and "nothing was changed" in screen
    assert picture(kept) == before and snapshots(kept) == files


def test_on_a_terminal_yes_restores(kept):
    damage(kept)
    code, out, _ = on_terminal(kept, "restore", kept.id, answer="yes\n")
    assert code == 0 and "restored" in out and kept.digest() == kept.digest_kept


# ---- nothing is lost ---------------------------------------------------------------------------------------------------

def test_safety_snapshot_brings_back_the_state_before_the_restore(kept):
    damage(kept)
    damaged = kept.digest()
    safety = one(kept.mig("restore", kept.id, "--yes", "--json"), "safetySnapshot")["safetySnapshot"]
    assert kept.digest() == kept.digest_kept != damaged
    assert (kept.store / f"{safety}.mig.tar").exists()
    kept.mig("restore", safety, "--yes")
    assert kept.digest() == damaged


def test_no_safety_snapshot_takes_none(kept):
    damage(kept)
    files = snapshots(kept)
    result = kept.mig("restore", kept.id, "--yes", "--no-safety-snapshot", "--json")
    assert one(result, "safetySnapshot")["safetySnapshot"] == ""
    assert snapshots(kept) == files and kept.digest() == kept.digest_kept


def test_other_collections_are_left_alone(kept):
    kept.db.other.insert_one({"_id": 1})
    damage(kept)
    kept.mig("restore", kept.id, "--yes")
    assert kept.db.other.find_one() == {"_id": 1} and ours_aside(kept) == ["orders", "other", "users"]


# ---- the ledger follows ------------------------------------------------------------------------------------------------

def test_restoring_a_migrations_snapshot_reverts_it_in_the_ledger(project):
    add_users(project)
    before = project.digest()
    project.write("0001_cut", {"up": DESTRUCTIVE})
    project.mig("up")
    snapshot = project.ledger("0001_cut")["snapshot"]["id"]
    result = project.mig("restore", snapshot, "--yes")
    assert project.digest() == before and project.status("0001_cut") == "reverted"
    assert "0001_cut is no longer applied" in result.out and "REVERTED" in project.mig("status").out
    event = events(project, direction="restore")[0]
    assert (event["name"], event["outcome"], event["snapshot"]) == ("0001_cut", "restored", snapshot) and free(project)
    project.mig("up")
    assert project.status("0001_cut") == "applied" and project.db.users.count_documents({"email": "gone"}) == 3


def test_restoring_a_part_of_it_leaves_the_ledger_and_says_so(project):
    add_users(project)
    project.db.other.insert_one({"_id": 1})
    project.write("0001_cut", {"up": [*DESTRUCTIVE, {"delete": {"collection": "other", "filter": {}}}]})
    project.mig("up")
    result = project.mig("restore", project.ledger("0001_cut")["snapshot"]["id"], "--yes", "--only", "other")
    assert project.status("0001_cut") == "applied" and "only a part" in result.err


# ---- bad archives ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["truncated", "one byte"])
def test_damaged_snapshot_is_refused_before_anything_is_written(kept, how):
    damage(kept)
    before = picture(kept)
    path = snapshots(kept)[0]
    whole = path.read_bytes()
    at = len(whole) // 2
    path.write_bytes(whole[:at] if how == "truncated" else whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:])
    for args in (["--yes"], ["--dry-run"], ["--yes", "--strategy", "swap"]):
        three_lines(kept.mig("restore", kept.id, *args, code=1), path.name)
    assert picture(kept) == before and snapshots(kept) == [path]


def test_wrong_strategy_and_missing_snapshot_are_refused(kept):
    three_lines(kept.mig("restore", kept.id, "--yes", "--strategy", "magic", code=2), "delta or swap", "magic")
    three_lines(kept.mig("restore", "./nowhere.mig.tar", "--yes", code=1), "nowhere.mig.tar")
    three_lines(kept.mig("restore", code=2), "takes SNAPSHOT")


# ---- what others wrote -------------------------------------------------------------------------------------------------

def test_what_others_wrote_is_kept_beside_the_snapshot_and_named(project):
    """Writers come between snapshot and restore: at the second write to users, that is, in the middle of the steps."""
    p = project
    add_users(p, 20)
    p.write("0001_bad", add_field(transaction="off", verify=NEVER))
    before = p.digest()

    def others(_):
        p.db.users.insert_one({"_id": "theirs", "order": 66})
        p.db.users.update_one({"_id": 3}, {"$set": {"name": "written by others"}})
    with WireProxy(p.uri, [Rule("update", call_first(others), collection="users")]) as proxy:
        result = p.mig("up", "--json", uri=proxy.uri, code=3)
    assert p.digest() == before
    told = one(result)
    assert told["displacedDocuments"] >= 2
    path = pathlib.Path(told["displaced"])
    assert path.parent == p.store and events(p, name="0001_bad")[0]["displaced"] == str(path)
    p.mig("snapshot", "verify", path)
    displaced = documents_in(path)
    assert displaced["theirs"]["order"] == 66 and displaced[3]["name"] == "written by others"


def test_what_others_wrote_during_the_restore_itself_is_kept_and_named_too(project):
    """The first update is the step's; the second, or the first delete, is the restore's own."""
    p = project
    add_users(p, 20)
    p.write("0001_bad", add_field(transaction="off", verify=NEVER))
    before = p.digest()

    def others(_):
        p.db.users.insert_one({"_id": "late", "order": 66})
    with WireProxy(p.uri, [Rule("update", call_first(others), collection="users", nth=2)]) as proxy:
        result = p.mig("up", "--json", uri=proxy.uri, code=3)
        assert proxy.rules[0].seen >= 2, "the restore writes by update"
    late = p.db.users.find_one({"_id": "late"})
    if late is None:  # then it was removed, and must have been saved first, in an archive that is named
        paths = [path for path in snapshots(p) if "late" in documents_in(path)]
        assert paths, "lost"
        assert all(str(path) in result.out + result.err for path in paths), result
        p.db.users.delete_one({"_id": "late"})
    assert p.digest() == before


@pytest.mark.parametrize("strategy", ["delta", "swap"])
def test_what_others_write_after_the_safety_snapshot_is_not_lost(kept, strategy):
    """A restore by hand; a writer comes when its first write (swap: to the staging collection) is about to be sent."""
    kept.db.users.update_many({}, {"$set": {"name": "x"}})

    def others(_):
        kept.db.users.insert_one({"_id": "late", "email": "late"})
    rule = Rule("update", call_first(others), collection="users")
    if strategy == "swap":
        rule = Rule("insert", call_first(others), when=lambda body: body["insert"].startswith("migstage_"))
    with WireProxy(kept.uri, [rule]) as proxy:
        result = kept.mig("restore", kept.id, "--yes", "--strategy", strategy, uri=proxy.uri, code=None)
        assert proxy.rules[0].seen, "the writer came"
    there = kept.db.users.find_one({"_id": "late"}) is not None
    assert there or any("late" in documents_in(path) for path in snapshots(kept)), f"a document is lost\n{result!r}"
    assert there or result.code == 0


def test_archive_of_displaced_documents_is_refused_and_leaves_nothing_unfinished(project):
    p = project
    add_users(p, 20)
    p.write("0001_bad", add_field(transaction="off", verify=NEVER))
    told = one(p.mig("up", "--json", code=3))  # what the migration itself wrote is displaced too
    before = p.digest()
    three_lines(p.mig("restore", told["displaced"], "--yes", code=2), "displaced", "bsondump")
    assert p.digest() == before
    assert p.mig("recover").out == "nothing to recover\n"


def test_ledger_that_is_restored_into_a_new_database_goes_on_there(project, tmp_path):
    """Its entries carry tokens of the lease that are larger than any of the new database."""
    for n in range(1, 4):
        project.write(f"000{n}_f", add_field(field=f"f{n}"))
        project.mig("up", code=None)  # each takes the lease once; without users all are refused
    add_users(project)
    project.mig("up")
    project.mig("down", "--all")
    project.mig("snapshot", "create")
    other = Project(project.uri, tmp_path / "other")
    try:
        other.mig("restore", snapshots(project)[-1], "--yes")
        assert other.status("0001_f") == "reverted"
        for n in range(1, 4):
            other.write(f"000{n}_f", add_field(field=f"f{n}"))
        other.mig("up")
        assert [other.status(f"000{n}_f") for n in (1, 2, 3)] == ["applied"] * 3
    finally:
        other.close()

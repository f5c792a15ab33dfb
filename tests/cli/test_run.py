"""up, run, plan, down: what is applied, what is undone, and with which exit code."""
import json

import pytest

from cli_support import (DESTRUCTIVE, NEVER, add_field, add_users, events, fails_late, fields, free, one, ours_aside,
                         picture, snapshots, three, three_lines, with_validator)
from conftest import has_transactions


def test_up_applies_all_in_order_and_records_them(project):
    three(project)
    result = project.mig("up")
    assert fields(project) == ["f1", "f2", "f3"]
    assert [l.split()[1] for l in result.out.splitlines() if l.startswith("applied")] == ["0001_f1", "0002_f2", "0003_f3"]
    for name in ("0001_f1", "0002_f2", "0003_f3"):
        entry = project.ledger(name)
        assert entry["status"] == "applied" and entry["batch"] == 1 and entry["appliedAt"] and entry["checksum"]
        assert [e["outcome"] for e in events(project, name=name)] == ["applied"]
    assert free(project) and not project.partials()


def test_up_again_has_nothing_to_do(project):
    three(project)
    project.mig("up")
    before = picture(project)
    assert project.mig("up").out == "nothing to do\n"
    assert picture(project) == before


@pytest.mark.parametrize("args, expected", [(["--steps", "2"], ["f1", "f2"]), (["--to", "0002_f2"], ["f1", "f2"]),
                                            (["--to=1.1"], ["f1"]), (["--steps", "99"], ["f1", "f2", "f3"])])
def test_up_stops_where_told(project, args, expected):
    three(project)
    project.mig("up", *args)
    assert fields(project) == expected


def test_up_to_an_unknown_name_is_refused_with_the_nearest(project):
    three(project)
    before = picture(project)
    three_lines(project.mig("up", "--to", "0002_f3x", code=2), '"0002_f3x"', "did you mean 000")
    assert picture(project) == before


def test_run_applies_just_that_one(project):
    three(project)
    project.mig("run", "0002_f2")
    assert fields(project) == ["f2"]
    assert project.status("0001_f1") is None
    assert "later migration is applied already" in project.mig("status").out


def test_up_stops_at_a_failure_and_continue_on_error_goes_on(project):
    three(project)
    project.write("0002_f2", fails_late(transaction="off"))
    before = project.digest()
    project.mig("up", "--steps", "1")
    first = project.digest()
    project.mig("up", code=3)
    assert project.digest() == first != before and project.status("0003_f3") is None
    project.mig("up", "--continue-on-error", code=3)
    assert project.status("0002_f2") == "failed" and project.status("0003_f3") == "applied"
    assert fields(project) == ["f1", "f3"] and project.db.users.count_documents({}) == 5


@pytest.mark.parametrize("args, expected", [([], ["f1", "f2"]), (["0001_f1"], ["f2", "f3"]), (["--steps", "2"], ["f1"]),
                                            (["--to", "0001_f1"], ["f1"]), (["--to", "1.2"], ["f1", "f2"]), (["--all"], [])])
def test_down_takes_back_what_it_is_told(project, args, expected):
    three(project)
    project.mig("up")
    project.mig("down", *args)
    assert fields(project) == expected
    for n in (1, 2, 3):
        assert project.status(f"000{n}_f{n}") == ("applied" if f"f{n}" in expected else "reverted")


def test_down_and_up_again_end_where_they_were(project):
    three(project)
    before = project.digest()
    project.mig("up")
    after = project.digest()
    project.mig("down", "--all")
    assert project.digest() == before
    project.mig("up")
    assert project.digest() == after


def test_down_of_ways_that_exclude_each_other_is_refused(project):
    three(project)
    three_lines(project.mig("down", "--all", "--steps", "1", code=2), "exclude each other")
    three_lines(project.mig("down", "0001_f1", "--all", code=2), "exclude each other")


def test_down_of_what_is_not_applied_is_refused(project):
    three(project)
    three_lines(project.mig("down", "0001_f1", code=2), "0001_f1 is not applied")
    assert project.mig("down").out == "nothing to do\n"


def test_down_of_a_one_way_migration_is_refused_and_offers_the_snapshot(project):
    add_users(project)
    before = project.digest()
    project.write("0001_cut", {"up": [DESTRUCTIVE[0]]})
    project.mig("up")
    applied = picture(project)
    error = three_lines(project.mig("down", code=1), "not reversible", "mig restore ")
    assert picture(project) == applied
    project.mig("restore", error[3].split("mig restore ")[1].strip(), "--yes")  # and the offer is good
    assert project.digest() == before and project.status("0001_cut") == "reverted"


# ---- dry runs --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("command", [["plan"], ["up", "--dry-run"], ["run", "0001_cut", "--dry-run"], ["validate"],
                                     ["status"], ["lock-status"], ["history"]])
def test_looking_writes_nothing_at_all(project, command):
    add_users(project)
    project.write("0001_cut", {"up": [*DESTRUCTIVE, {"createCollection": {"collection": "other"}}]})
    before, databases = picture(project), project.client.list_database_names()
    result = project.mig(*command)
    assert picture(project) == before and project.client.list_database_names() == databases
    assert not project.store.exists(), "not even the store is made"
    if command[0] in ("plan", "up", "run"):
        assert "would run" in result.out and "[destructive]" in result.out and "users" in result.out


@pytest.mark.parametrize("command", [["plan"], ["up", "--dry-run"], ["down", "--dry-run"], ["status"]])
def test_looking_does_not_bring_a_database_into_being(project, command):
    project.write("0001_new", {"up": [{"createCollection": {"collection": "other"}}]})
    project.mig(*command)
    assert picture(project) == {"exists": False} and not project.store.exists()


def test_down_dry_run_writes_nothing(project):
    three(project)
    project.mig("up")
    before, files = picture(project), snapshots(project)
    result = project.mig("down", "--all", "--dry-run")
    assert result.out.count("would run") == 3 and "(down)" in result.out
    assert picture(project) == before and snapshots(project) == files


def test_plan_tells_what_a_refusing_guard_will_say(project):
    add_users(project)
    project.write("0001_no", add_field(guards=[{"count": {"collection": "users", "filter": {}, "max": 2}}]))
    before = picture(project)
    result = project.mig("plan", code=1)
    assert "would be refused" in result.out and "users" in result.out
    forecast = one(project.mig("plan", "--json", code=1))
    assert forecast["outcome"] == "would be refused" and len(forecast["refusals"]) == 1
    assert forecast["collections"] == ["users"] and forecast["snapshot"]["documents"] == 5
    assert picture(project) == before


def test_plan_leaves_to_the_run_what_depends_on_a_migration_before(project):
    add_users(project)
    project.db.users.update_many({}, {"$set": {"team": 1}})
    project.write("0001_teams", {"up": [{"insert": {"collection": "teams", "documents": [{"_id": 1}]}}]})
    project.write("0002_refer", add_field(guards=[{"references": {"collection": "users", "field": "team", "to": "teams._id"}}]))
    assert "judged at the run, as migrations before it change what they read: 1 of 2 guards" in project.mig("plan").err
    project.mig("up")
    assert project.status("0002_refer") == "applied"


# ---- failures --------------------------------------------------------------------------------------------------------

def test_unique_index_over_duplicates_is_refused_and_names_the_offenders(project):
    add_users(project)
    project.db.users.update_many({"_id": {"$in": [2, 4]}}, {"$set": {"email": "same@example.org"}})
    project.write("0001_unique", {"up": [{"delete": {"collection": "users", "filter": {"_id": 0}}}, {"createIndex": {
        "collection": "users", "key": {"email": 1}, "options": {"unique": True}}}]})
    project.write("0002_unique", {"up": [{"createIndex": {
        "collection": "users", "key": {"email": 1}, "options": {"unique": True}}}]})
    before = project.digest()
    result = project.mig("run", "0002_unique", code=1)
    three_lines(result, "same@example.org", "2 and 4", "users")
    query = json.loads(result.err.split("this finds them all: ", 1)[1].splitlines()[0])
    assert [g["ids"] if "ids" in g else g for g in project.db[query["aggregate"]].aggregate(query["pipeline"])], "it finds them"
    assert project.digest() == before and not snapshots(project)
    assert project.status("0002_unique") == "failed" and not project.ledger("0002_unique")["restored"]
    # a guard that can only be judged after the first step refuses too, and the step is undone
    project.mig("run", "0001_unique", code=3)
    assert project.digest() == before


def test_destructive_migration_that_fails_last_is_undone_by_the_snapshot(project):
    add_users(project)
    project.write("0001_bad", fails_late(transaction="off"))
    before = project.digest()
    result = project.mig("up", code=3)
    three_lines(result, "users", "back as it was")
    assert "restored" in result.out and project.digest() == before
    entry = project.ledger("0001_bad")
    assert entry["status"] == "failed" and entry["restored"] and entry["error"]
    assert [e["outcome"] for e in events(project)] == ["restored"] and free(project)


def test_same_failure_with_transaction_auto_ends_as_the_server_allows(project):
    add_users(project)
    project.write("0001_bad", fails_late())
    before = project.digest()
    transactions = has_transactions(project.uri)
    result = project.mig("up", "--json", code=1 if transactions else 3)
    assert project.digest() == before
    assert one(result)["transaction"] == ("used" if transactions else "not-supported")


def test_same_failure_in_a_transaction_changes_nothing(txn_project):
    p = txn_project
    add_users(p)
    p.write("0001_bad", fails_late(transaction="required"))
    before = p.digest()
    result = p.mig("up", "--json", code=1)
    assert p.digest() == before
    assert one(result)["outcome"] == "failed" and one(result)["transaction"] == "used"
    assert p.status("0001_bad") == "failed" and not p.ledger("0001_bad")["restored"] and free(p)


def test_transaction_required_is_refused_where_there_is_none(project):
    if has_transactions(project.uri):
        pytest.skip("this server has transactions")
    add_users(project)
    project.write("0001_t", add_field(transaction="required"))
    before = project.digest()
    project.mig("up", code=1)  # tried at the run, as the very first thing
    three_lines(project.mig("up", code=1), "requires a transaction", "no transactions")
    assert project.digest() == before


def test_collection_and_index_of_a_failed_migration_are_gone_again(project):
    add_users(project)
    project.write("0001_new", {"up": [
        {"createCollection": {"collection": "fresh"}},
        {"insert": {"collection": "fresh", "documents": [{"_id": 1}]}},
        {"createIndex": {"collection": "users", "key": {"age": 1}}}, *fails_late()["up"]]})
    before = project.digest()
    project.mig("up", code=3)
    assert ours_aside(project) == ["users"] and list(project.db.users.index_information()) == ["_id_"]
    assert project.digest() == before


def test_dropped_collection_of_a_failed_migration_is_back_with_all_it_had(project):
    add_users(project)
    with_validator(project, "old", {"k": {"$gte": 0}})
    project.db.old.insert_many([{"_id": i, "k": i, "s": "x" * i} for i in range(30)])
    project.db.old.create_index([("k", -1)], name="by_k", unique=True)
    project.write("0001_drop", {"up": [{"dropCollection": {"collection": "old"}}, *fails_late()["up"]]})
    before = project.digest()
    project.mig("up", code=3)
    assert project.digest() == before
    info = next(c for c in project.db.list_collections() if c["name"] == "old")
    assert info["options"]["validator"] == {"k": {"$gte": 0}} and project.db.old.index_information()["by_k"]["unique"]


def test_failed_verify_undoes_everything(project):
    add_users(project)
    project.write("0001_v", add_field(transaction="off", verify=NEVER))
    before = project.digest()
    three_lines(project.mig("up", code=3), "verify count", "users")
    assert project.digest() == before


def test_snapshot_off_needs_the_flag_too(project):
    add_users(project)
    project.write("0001_off", add_field(snapshot="off"))
    three_lines(project.mig("up", code=2), "--no-snapshot")
    assert project.status("0001_off") is None
    project.mig("up", "--no-snapshot")
    assert project.status("0001_off") == "applied" and not snapshots(project)

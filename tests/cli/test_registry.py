"""The ledger as people work with it: batches, redo, rollback, baseline, metadata, history, what status finds."""
import datetime
import json
import re

import pytest

from cli_support import (DESTRUCTIVE, NEVER, add_field, add_users, events, fails_late, fields, free, one, picture, three,
                         three_lines)

FIELDS = {"_id", "name", "version", "description", "author", "kind", "status", "reversible", "batch", "checksum", "appliedAt",
          "revertedAt", "duration", "error", "appliedBy", "revertedBy", "run", "snapshot", "restored", "metadata", "createdAt",
          "updatedAt"}


def statuses(p):
    return {e["name"]: e["status"] for e in p.db.migrationlogs.find()}


def batches(p):
    return {e["name"]: e["batch"] for e in p.db.migrationlogs.find()}


# ---- fields and indexes ------------------------------------------------------------------------------------------------

def test_entry_has_every_field_whatever_became_of_the_migration(project):
    three(project)
    project.write("0002_f2", fails_late(transaction="off"))
    project.write("0004_f4", add_field(field="f4", verify=NEVER))
    project.mig("up", "--continue-on-error", code=3)
    project.mig("down", "0003_f3")
    project.mig("mark", "0002_f2", "--pending", "--why", "x")
    project.write("0005_new", add_field(field="f5"))
    project.mig("record", "0005_new", "--why", "was there")
    for entry in project.db.migrationlogs.find():
        assert set(entry) == FIELDS, entry["name"]
    assert statuses(project) == {"0001_f1": "applied", "0002_f2": "pending", "0003_f3": "reverted", "0004_f4": "failed",
                                 "0005_new": "applied"}
    entry = project.ledger("0001_f1")
    assert entry["kind"] == "declarative" and entry["reversible"] is True and len(entry["checksum"]) == 64
    assert {"id", "phase", "direction", "fence", "host", "pid", "startedAt", "snapshot"} <= set(entry["run"])
    assert set(entry["snapshot"]) == {"id", "path", "sha256", "bytes"}


def test_ledger_has_its_indexes_and_the_name_is_unique(project):
    three(project)
    project.mig("up")
    indexes = {tuple(k for k, _ in i["key"]): i for i in project.db.migrationlogs.index_information().values()}
    assert set(indexes) == {("_id",), ("name",), ("status", "appliedAt"), ("version",), ("checksum",)}
    assert indexes[("name",)]["unique"]
    lock = project.db.migrationlocks.index_information()
    assert lock["expiresAt_1"]["expireAfterSeconds"] == 0


# ---- batches, rollback, redo -------------------------------------------------------------------------------------------

def test_all_of_one_up_share_a_number_and_down_batch_takes_just_those_back(project):
    three(project)
    project.mig("up", "--steps", "1")
    project.mig("up")
    assert batches(project) == {"0001_f1": 1, "0002_f2": 2, "0003_f3": 2}
    project.mig("down", "--batch", "--dry-run")
    assert fields(project) == ["f1", "f2", "f3"]
    assert "2 reverted" in project.mig("down", "--batch").out
    assert fields(project) == ["f1"]
    project.mig("down", "--batch")
    assert fields(project) == [] and project.mig("down", "--batch").out == "nothing to do\n"
    project.mig("up")
    assert set(batches(project).values()) == {3}, "a number is used once"
    three_lines(project.mig("down", "--batch", "--all", code=2), "exclude each other")


def test_rollback_reverts_the_version_it_is_given_and_the_newest_without(project):
    three(project)
    project.mig("up")
    project.mig("rollback", "1.2")
    assert fields(project) == ["f1", "f3"] and project.status("0002_f2") == "reverted"
    project.mig("rollback")
    assert fields(project) == ["f1"]
    three_lines(project.mig("rollback", "1.2", code=2), "1.2 is not applied")
    three_lines(project.mig("rollback", "9.9", code=2), "9.9")


@pytest.mark.parametrize("args, again", [([], ["0003_f3"]), (["0002_f2"], ["0002_f2"]), (["1.1"], ["0001_f1"]),
                                         (["--steps", "2"], ["0002_f2", "0003_f3"]),
                                         (["--batch"], ["0001_f1", "0002_f2", "0003_f3"])])
def test_redo_reverts_and_applies_again_in_the_old_order(project, args, again):
    three(project)
    project.mig("up")
    before = list(project.db.users.find().sort("_id"))
    out = project.mig("redo", *args).out
    assert f"{len(again)} reverted and applied again" in out and list(project.db.users.find().sort("_id")) == before
    log = [(e["direction"], e["name"]) for e in project.db.migrationevents.find().sort([("startedAt", 1), ("_id", 1)])][3:]
    assert log == [("down", n) for n in reversed(again)] + [("up", n) for n in again]
    assert free(project) and set(statuses(project).values()) == {"applied"}
    assert {batches(project)[n] for n in again} == {2}


def test_redo_of_what_cannot_go_down_changes_nothing(project):
    three(project)
    project.write("0004_cut", {"up": [DESTRUCTIVE[0]]})
    project.mig("up")
    before = picture(project)
    three_lines(project.mig("redo", code=1), "not reversible", "mig restore ")
    three_lines(project.mig("redo", "--steps", "4", code=1), "not reversible")
    assert picture(project) == before


def test_redo_that_fails_on_the_way_up_leaves_it_reverted_and_tells(project):
    three(project)
    project.write("0003_f3", add_field(field="f3", version="1.3", guards=[{"count": {"collection": "users", "filter": {"f2": True}, "max": 5}}]))
    project.mig("up")
    project.db.users.insert_one({"_id": 9, "f2": True})  # since then its guard would refuse
    three_lines(project.mig("redo", code=1), "guard count")
    assert project.db.users.count_documents({"f1": True, "f3": None}) == 5
    assert project.status("0003_f3") == "failed" and project.status("0002_f2") == "applied" and free(project)


def test_failed_down_leaves_the_snapshot_from_before_up_on_offer(project):
    add_users(project)
    before = project.digest()
    project.write("0001_f", {"up": [{"addField": {"collection": "users", "field": "f", "value": 1}}],
                             "down": [{"removeField": {"collection": "users", "field": "f"}},
                                      {"update": {"collection": "users", "filter": {"_id": 3}, "update": {"$inc": {"name": 1}}}}],
                             "transaction": "off"})
    project.mig("up")
    applied, taken = project.digest(), project.ledger("0001_f")["snapshot"]
    project.mig("down", code=3)
    entry = project.ledger("0001_f")
    assert project.digest() == applied and entry["status"] == "applied" and entry["restored"]
    assert entry["snapshot"] == taken != entry["run"]["snapshot"]
    assert entry["run"]["snapshot"]["id"] in project.mig("status").out
    (project.migrations / "0001_f.json").unlink()
    hint = three_lines(project.mig("down", code=6), "put the file back")[3]
    project.mig("restore", hint.split("mig restore ")[1], "--yes")
    assert project.digest() == before, "what was offered is the state before `up`"


def test_snapshot_that_is_gone_is_not_offered_as_if_it_were_here(project):
    add_users(project)
    project.write("0001_cut", {"up": [DESTRUCTIVE[0]]})
    project.mig("up")
    path = project.ledger("0001_cut")["snapshot"]["path"]
    next(project.store.glob("*.mig.tar")).unlink()
    three_lines(project.mig("down", code=1), "not reversible", "not here", path)


def test_continue_on_error_tells_each_failure(project):
    three(project)
    project.write("0001_f1", add_field(guards=[{"collectionExists": {"collection": "nowhere"}}]))
    project.write("0002_f2", fails_late(transaction="off"))
    result = project.mig("up", "--continue-on-error", code=1)
    assert statuses(project) == {"0001_f1": "failed", "0002_f2": "failed", "0003_f3": "applied"}
    assert "nowhere" in result.err and "0002_f2" in result.err and "going on without it" in result.err
    assert set(batches(project).values()) == {None, 1}


# ---- by hand ------------------------------------------------------------------------------------------------------------

def test_baseline_records_all_up_to_a_version_and_runs_nothing(project):
    three(project)
    before = project.digest()
    out = project.mig("baseline", "1.2", "--by", "ann", "--meta", "ticket=OPS-1").out
    assert "0001_f1 is recorded as applied" in out and "0003" not in out and project.digest() == before
    assert statuses(project) == {"0001_f1": "applied", "0002_f2": "applied"} and set(batches(project).values()) == {1}
    entry = project.ledger("0001_f1")
    assert entry["appliedBy"] == "ann" and entry["metadata"] == {"ticket": "OPS-1"} and entry["snapshot"] is None
    assert {(e["outcome"], e["by"], e["why"]) for e in events(project)} == {("marked", "ann", "baseline 1.2")}
    project.mig("up")
    assert fields(project) == ["f3"]
    assert project.mig("baseline", "1.2").out == "nothing to do\n"
    lines = project.mig("baseline", "1.3", "--json").lines
    assert lines == [{"exit": 0}]
    three_lines(project.mig("baseline", "9", code=2), '"9"')
    project.mig("validate")


def test_baseline_refuses_while_a_run_waits_for_recover(project):
    three(project)
    project.mig("up", code=None, MIG_CRASH_AT="step_end")
    three_lines(project.mig("baseline", "1.3", code=7), "mig recover")
    assert list(statuses(project)) == ["0001_f1"]


def test_record_is_mark_applied_and_needs_a_reason(project):
    three(project)
    three_lines(project.mig("record", "0001_f1", code=2), "--why")
    project.mig("record", "1.1", "--why", "by the old tool")
    assert statuses(project) == {"0001_f1": "applied"} and fields(project) == []
    assert "why: by the old tool" in project.mig("history").out


def test_aliases_do_what_their_commands_do(project):
    three(project)
    assert "would run" in project.mig("dry-run").out and fields(project) == []
    project.mig("migrate", "--to", "1.2")
    assert fields(project) == ["f1", "f2"]
    assert project.mig("help", "migrate").out == project.mig("help", "up").out
    three_lines(project.mig("migrat", code=2), "did you mean")


# ---- metadata -----------------------------------------------------------------------------------------------------------

def test_metadata_of_the_file_and_of_the_run_are_recorded(project):
    add_users(project)
    project.write("0001_f", add_field(field="f1", metadata={"team": "billing", "ticket": "OPS-1", "n": 5}))
    project.mig("up", "--meta", "ticket=OPS-2", "--meta", "note=a=b c")
    wanted = {"team": "billing", "ticket": "OPS-2", "n": 5, "note": "a=b c"}
    assert project.ledger("0001_f")["metadata"] == wanted and events(project)[0]["metadata"] == wanted
    project.mig("down", "--meta", "why=wrong")
    assert project.ledger("0001_f")["metadata"] == wanted, "that of the last `up`"
    assert events(project, direction="down")[0]["metadata"] == {"team": "billing", "ticket": "OPS-1", "n": 5, "why": "wrong"}


@pytest.mark.parametrize("pair, words", [("novalue", "KEY=VALUE"), ("=x", "KEY=VALUE"), ("$a=1", "$"), ("a.b=1", "."),
                                         ("k" * 101 + "=1", "KEY=VALUE")])
def test_bad_metadata_is_refused(project, pair, words):
    three(project)
    three_lines(project.mig("up", "--meta", pair, code=2), words)
    three_lines(project.mig("up", "--meta", "a=1", "--meta", "a=2", code=2), "twice")
    assert fields(project) == []


# ---- history ------------------------------------------------------------------------------------------------------------

def test_history_is_filtered_by_status_direction_who_since_and_version(project):
    three(project)
    project.mig("up", "--by", "ann")
    project.mig("down", "--by", "bob")
    long_ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=40)
    project.db.migrationevents.update_one({"name": "0001_f1"}, {"$set": {"startedAt": long_ago}})

    def names(*args):
        return [(e["direction"], e["name"]) for e in project.mig("history", "--json", *args, MIG_BY="nobody").lines[:-1]]
    down, ups = [("down", "0003_f3")], [("up", "0003_f3"), ("up", "0002_f2"), ("up", "0001_f1")]
    assert names() == down + ups, "MIG_BY says who looks, it is no filter"
    assert names("--direction", "down") == down and names("--direction", "up") == ups
    assert names("--by", "bob") == down and names("--by", "ann", "--status", "applied") == ups
    assert names("--since", "7d") == down + ups[:2] and names("--since", "9w") == down + ups
    day = (long_ago - datetime.timedelta(days=1)).strftime("%Y-%m-%d")
    assert names("--since", day) == down + ups and names("--since", day + "T10:30:00Z") == down + ups
    assert names("1.2") == [("up", "0002_f2")]
    out = project.mig("history", "--limit", "3").out
    assert out.endswith("page 1 of 2, 4 events\n")
    assert project.mig("history", "--limit", "3", "--page", "9").out == "no more events\n"


@pytest.mark.parametrize("since", ["yesterday", "2026-02-31", "2026-13-01", "7", "d", "7y", "-7d", "2026-01-15T25:00Z", ""])
def test_bad_since_is_refused(project, since):
    three_lines(project.mig("history", f"--since={since}", code=2), "--since")


# ---- what status and validate find ---------------------------------------------------------------------------------------

def test_board_is_as_wide_as_it_needs_to_be(project):
    add_users(project)
    project.write("0001_add-email-verification", add_field(version="1.0.1"))
    project.mig("up")
    today = project.ledger("0001_add-email-verification")["appliedAt"].strftime("%Y-%m-%d")
    board = project.mig("status").out.splitlines()
    assert re.fullmatch(rf"APPLIED \| 1\.0\.1 \| 0001_add-email-verification \| {today} \([\d,]+ ms\)", board[0])
    assert re.fullmatch(rf".*{today} \d\d:\d\d:\d\d \(.* ms\) by .*, batch 1", project.mig("status", "--verbose").out.splitlines()[0])
    assert re.search(r"^[\d,]+ ms in all migrations applied$", board[-1])


def test_out_of_order_is_found_with_what_to_do(project):
    three(project)
    project.mig("run", "0003_f3")
    for command, code in (["status"], 0), (["validate"], 6):
        out = project.mig(*command, code=code).out
        assert out.count("a later migration is applied already: `mig up` will run this one after it") == 2
    assert "2 warnings" in project.mig("status").out
    project.mig("status", "--exit-code", code=6)


def test_renamed_file_is_found_and_named(project):
    three(project)
    project.mig("up")
    (project.migrations / "0002_f2.json").rename(project.migrations / "0002_better.json")
    for command, code in (["status"], 0), (["validate"], 6):
        assert "0002_better has the same content: give it its old name again" in project.mig(*command, code=code).out


def renamed(p):
    """0001_pay adds 100 to n; applied, then its file gets another name."""
    p.db.users.insert_one({"_id": 0, "n": 0})
    path = p.write("0001_pay", {"up": [{"update": {"collection": "users", "filter": {}, "update": {"$inc": {"n": 100}}}}]})
    p.mig("up")
    return path.rename(p.migrations / "0001_pay-bonus.json")


@pytest.mark.parametrize("command", [["plan"], ["up"], ["up", "--dry-run"], ["run", "0001_pay-bonus"],
                                     ["start", "--", "sh", "-c", "echo started"]], ids=lambda c: " ".join(c[:2]))
def test_renamed_file_of_an_applied_migration_is_not_run_a_second_time(project, command):
    renamed(project)
    before = picture(project)
    result = project.mig(*command, code=6, MIGRATE_ON_START="true", MIGRATE_ON_START_FAIL_HARD="true")
    three_lines(result, "0001_pay-bonus", "0001_pay ", "checksum", "old name", "mig mark 0001_pay-bonus --applied --why")
    assert picture(project) == before and project.db.users.find_one()["n"] == 100 and "started" not in result.out


@pytest.mark.parametrize("way", ["old name", "applied", "pending"])
def test_each_way_out_of_a_renamed_file_works_and_up_goes_on(project, way):
    path = renamed(project)
    project.write("0002_f2", add_field(field="f2"))
    assert "0001_pay-bonus" in project.mig("up", code=6).err
    if way == "old name":
        path.rename(project.migrations / "0001_pay.json")
    else:
        project.mig("mark", "0001_pay-bonus", f"--{way}", "--why", "says who")
    project.mig("up")
    assert project.db.users.find_one()["n"] == (200 if way == "pending" else 100) and fields(project) == ["f2"]
    if way != "old name":
        project.mig("validate", code=6)
        project.mig("mark", "0001_pay", "--pending", "--why", "has another name now")
    project.mig("validate")


@pytest.mark.parametrize("before", ["reverted", "failed", "both there", "others first"])
def test_file_of_the_same_content_is_run_where_none_of_that_content_is_applied_and_gone(project, before):
    add_users(project)
    path = project.write("0001_f1", {**add_field(field="f1"), "verify": NEVER} if before == "failed" else add_field(field="f1"))
    project.mig("up", code=None)
    if before == "reverted":
        project.mig("down")
    if before == "both there":
        project.write("0002_f2", path.read_text())
    elif before == "others first":
        path.rename(project.migrations / "0002_f2.json")
        project.write("0001_a", add_field(field="f3"))
        project.mig("up", "--to", "0001_a")  # not yet at the renamed one
        assert fields(project) == ["f1", "f3"]
        return
    else:
        path.rename(project.migrations / "0002_f2.json")
    project.mig("up", code=None if before == "failed" else 0)
    assert project.status("0002_f2") == ("failed" if before == "failed" else "applied")


def test_status_json_names_each_problem(project):
    three(project)
    project.mig("up", "--steps", "2")
    project.write("0001_f1", add_field(field="else", version="1.1"))
    (project.migrations / "0002_f2.json").unlink()
    rows = {r["migration"]: r for r in project.mig("status", "--json").lines[:-2]}
    assert "modified" in rows["0001_f1"]["problem"] and "missing" in rows["0002_f2"]["problem"]
    assert "problem" not in rows["0003_f3"] and rows["0001_f1"]["batch"] == 1


def test_pending_and_completed_folders_are_read_as_one_and_stay_as_they_are(project):
    three(project)
    for folder, name in ("pending", "0003_f3"), ("completed", "0001_f1"):
        (project.migrations / folder).mkdir()
        (project.migrations / f"{name}.json").rename(project.migrations / folder / f"{name}.json")
    project.mig("up", "--steps", "2")
    assert fields(project) == ["f1", "f2"], "the ledger decides, not the folder"
    (project.migrations / "pending/0003_f3.json").rename(project.migrations / "completed/0003_f3.json")
    project.mig("validate")
    project.mig("up")
    assert fields(project) == ["f1", "f2", "f3"]
    assert sorted(p.name for p in project.migrations.rglob("*.json")) == ["0001_f1.json", "0002_f2.json", "0003_f3.json"]
    (project.migrations / "pending/0001_f1.json").write_text(json.dumps(add_field(field="f1", version="1.1")))
    three_lines(project.mig("up", code=2), "completed/0001_f1.json", "pending/0001_f1.json")

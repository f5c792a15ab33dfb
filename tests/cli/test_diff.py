"""snapshot diff: against the live database and against another snapshot; exit 6 if they differ, 0 if not."""
import bson
import pytest

from cli_support import add_users, one, picture, three_lines
from conftest import RAW


def create(p, *args):
    return one(p.mig("snapshot", "create", "--json", *args), "snapshot")["snapshot"]


def rows(result):
    return {line["collection"]: line for line in result.lines if "collection" in line}


def told(result, kind="document"):
    return [line for line in result.lines if line.get("kind") == kind]


def counts(row):
    return row["missing"], row["changed"], row["extra"]


def damage(p):
    """One of users removed, two changed (one in its type alone), three new ones; an index each way."""
    p.db.users.delete_one({"_id": 0})
    p.db.users.update_one({"_id": 1}, {"$set": {"name": "other"}})
    p.db.users.update_one({"_id": 2}, {"$set": {"age": bson.Int64(14)}})
    p.db.users.insert_many([{"_id": i} for i in ("a", "b", "c")])
    p.db.users.drop_index("by_age")
    p.db.users.create_index([("email", 1)], name="by_email")
    p.db.fresh.insert_many([{"_id": 1}, {"_id": 2}])
    p.db.old.drop()


@pytest.fixture
def ready(project):
    add_users(project, 20)
    project.db.users.create_index([("age", 1)], name="by_age")
    project.db.old.insert_many([{"_id": 1}, {"_id": 2}])
    project.db.same.insert_one({"_id": 1})
    project.first = create(project)
    return project


def insist(result, other_side):
    """What damage() did, seen in a diff with --documents --json."""
    row = rows(result)
    assert counts(row["users"]) == (1, 2, 3) and row["users"]["indexesDiffering"] == 2 and row["users"]["differs"]
    assert counts(row["old"]) == (2, 0, 0) and row["old"]["created"]
    assert counts(row["fresh"]) == (0, 0, 2) and row["fresh"]["dropped"]
    assert counts(row["same"]) == (0, 0, 0) and not row["same"]["differs"]
    assert one(result, "identical")["identical"] is False
    users = {str(list((d["snapshot"] or d["other"])["_id"].values())[0] if isinstance((d["snapshot"] or d["other"])["_id"], dict)
                 else (d["snapshot"] or d["other"])["_id"]): d for d in told(result) if d["in"] == "users"}
    assert {k: d["difference"] for k, d in users.items()} == {
        "0": "missing", "1": "changed", "2": "changed", "a": "extra", "b": "extra", "c": "extra"}
    assert users["0"]["other"] is None and users["a"]["snapshot"] is None
    assert (users["1"]["snapshot"]["name"], users["1"]["other"]["name"]) == ("n1", "other")
    assert (users["2"]["snapshot"]["age"], users["2"]["other"]["age"]) == ({"$numberInt": "14"}, {"$numberLong": "14"})
    assert sorted((i["name"], i["difference"]) for i in told(result, "index")) == [("by_age", "missing"), ("by_email", "extra")]
    assert len([d for d in told(result) if d["in"] == "old"]) == 2 and len([d for d in told(result) if d["in"] == "fresh"]) == 2


def test_nothing_differs_right_after_it_was_taken(ready):
    before = picture(ready)
    result = ready.mig("snapshot", "diff", ready.first)
    assert "nothing differs" in result.out
    assert all(not row["differs"] for row in rows(ready.mig("snapshot", "diff", ready.first, "--json")).values())
    assert picture(ready) == before


def test_live_differences_are_counted_and_shown_in_both_forms(ready):
    damage(ready)
    before = picture(ready)
    insist(ready.mig("snapshot", "diff", ready.first, "--documents", "--json", code=6), "live")
    text = ready.mig("snapshot", "diff", ready.first, "--documents", code=6).out
    assert "- {" in text and "+ {" in text and '"other"' in text
    plain = ready.mig("snapshot", "diff", ready.first, code=6).out
    assert "document" not in plain and '"other"' not in plain  # documents only when asked for
    assert "index by_age missing" in plain and "1 missing" in plain
    assert picture(ready) == before


def test_a_second_snapshot_differs_as_the_database_it_was_taken_of_and_needs_no_server(ready):
    damage(ready)
    second = create(ready)
    nowhere = "mongodb://127.0.0.1:1/"
    insist(ready.mig("snapshot", "diff", ready.first, second, "--documents", "--json", code=6, uri=nowhere), "snapshot")
    back = rows(ready.mig("snapshot", "diff", second, ready.first, "--json", code=6, uri=nowhere))
    assert counts(back["users"]) == (3, 2, 1) and back["fresh"]["created"] and back["old"]["dropped"]
    same = ready.mig("snapshot", "diff", second, second, uri=nowhere)
    assert "nothing differs" in same.out


def test_only_looks_at_just_those(ready):
    damage(ready)
    assert set(rows(ready.mig("snapshot", "diff", ready.first, "--only", "same", "--json"))) == {"same"}
    assert set(rows(ready.mig("snapshot", "diff", ready.first, "--only", "users", "--json", code=6))) == {"users"}
    three_lines(ready.mig("snapshot", "diff", ready.first, "--only", "nothere", code=2), "nothere")


def test_a_snapshot_of_a_part_says_nothing_about_the_rest(ready):
    part = create(ready, "--only", "same")
    damage(ready)
    assert set(rows(ready.mig("snapshot", "diff", part, "--json"))) == {"same"}
    result = ready.mig("snapshot", "diff", ready.first, part, "--json")  # a part on the other side: the rest is not compared
    assert "not compared" in result.err and not rows(result)["users"]["differs"]


def test_options_are_shown_in_both_forms(project):
    project.db.create_collection("log", capped=True, size=4096)
    add_users(project)
    first = create(project)
    project.db.log.drop()
    project.db.create_collection("log", capped=True, size=8192)
    result = project.mig("snapshot", "diff", first, "--json", code=None)
    if result.code == 0:
        pytest.skip("this server forgets that a collection is capped")
    shown = one(result, "kind")
    assert shown["kind"] == "options" and shown["snapshot"]["size"] != shown["other"]["size"]


def test_what_json_cannot_carry_is_shown_as_its_bytes(project):
    bad = bson.encode({"_id": 1, "t": "xx"}).replace(b"xx", b"\xff\xfe")
    raw = project.client.get_database(project.name, codec_options=RAW)
    try:
        raw.command("insert", "odd", documents=[bson.raw_bson.RawBSONDocument(bad)])
    except Exception as refused:  # noqa: BLE001
        pytest.skip(f"this server takes no text that is not UTF-8: {refused}")
    first = create(project)
    project.db.odd.delete_many({})
    project.db.odd.insert_one({"_id": 1, "t": "good"})
    result = project.mig("snapshot", "diff", first, "--documents", "--json", code=6)
    document = one(result, "kind")
    assert "$binary" in document["snapshot"] and document["other"]["t"] == "good"


def test_a_damaged_snapshot_is_no_difference_but_an_error(ready):
    path = ready.store / f"{ready.first}.mig.tar"
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    three_lines(ready.mig("snapshot", "diff", ready.first, code=1))
    three_lines(ready.mig("snapshot", "diff", "nothere", code=1))


def test_a_restores_dry_run_shows_the_same(ready):
    damage(ready)
    before = picture(ready)
    result = ready.mig("restore", ready.first, "--dry-run", "--documents", "--json")
    row = rows(result)
    assert counts(row["users"]) == (1, 2, 3) and "fresh" not in row  # a restore leaves what the snapshot does not hold
    assert len([d for d in told(result) if d["in"] == "users"]) == 6
    assert sorted(i["name"] for i in told(result, "index")) == ["by_age", "by_email"]
    assert picture(ready) == before
    three_lines(ready.mig("restore", ready.first, "--documents", "--yes", code=2))


def test_many_documents_are_compared_in_bounded_memory(project):
    big = "x" * 200_000
    project.db.many.insert_many([{"_id": i, "big": big} for i in range(400)])
    first = create(project)
    project.db.many.update_many({"_id": {"$mod": [2, 0]}}, {"$set": {"big": "y"}})
    project.db.many.delete_many({"_id": {"$gte": 390}})
    second = create(project)
    for against in ([], [second]):
        row = rows(project.mig("snapshot", "diff", first, *against, "--json", code=6))
        assert counts(row["many"]) == (10, 195, 0)

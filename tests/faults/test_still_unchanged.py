"""Only a document that is still what was read is overwritten or removed, however little it was changed meanwhile."""
import datetime
import subprocess

import bson
import pymongo
import pytest

from conftest import documents_of
from wireproxy import Rule, WireProxy, call_first

OLD = datetime.datetime(2000, 1, 1)


def fold(p, name):
    """A collection for which "a" is "A"."""
    try:
        p.db.create_collection(name, collation={"locale": "en", "strength": 2})
    except pymongo.errors.OperationFailure as e:
        pytest.skip(f"the server makes no collections with a collation: {e}")
    p.db[name].insert_one({"_id": "probe", "v": "x"})
    found = p.db[name].find_one({"v": "X"})
    p.db[name].delete_one({"_id": "probe"})
    if not found:
        pytest.skip("the server takes a collation and compares without it")


def has_document_size(p):
    p.db.sized.insert_one({"_id": 1})
    try:
        found = list(p.db.sized.aggregate([{"$project": {"size": {"$bsonSize": "$$ROOT"}}}]))
    except pymongo.errors.OperationFailure as e:
        pytest.skip(f"the server has no $bsonSize: {e}")
    finally:
        p.db.sized.drop()
    if found[0].get("size") != len(bson.encode({"_id": 1})):
        pytest.skip(f"the server's $bsonSize is wrong: {found}")


def before_the_first(p, command, what):
    return Rule(None, call_first(lambda _: what()), when=lambda body: body.get(command) == "users")


def anywhere(p, name, value):
    """In the collection or in a displaced archive."""
    live = p.db.users.find_one({"_id": name}) or {}
    documents = [live]
    for archive in sorted((p.folder / "snapshots").glob("*displaced*.tar")):
        raw = subprocess.check_output(f"tar -xOf '{archive}' --wildcards '*.zst' | zstd -dcq", shell=True)
        documents += [d for d in documents_of(raw) if d["_id"] == name]
    return any(repr(d.get("v")) == repr(value) for d in documents)


def restore_while(p, kind, changed):
    """Another program writes `changed` to the first document as the restore is about to overwrite it."""
    first = kind(1)
    p.db.users.insert_many([{"_id": kind(i), "v": "old"} for i in range(20)])
    before = p.digest()
    snapshot = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.db.users.update_many({}, {"$set": {"v": "changed" if isinstance(changed, str) else 1}})
    rule = before_the_first(p, "update", lambda: p.db.users.update_one({"_id": first}, {"$set": {"v": changed}}))
    with WireProxy(p.uri, [rule]) as proxy:
        p.mig("restore", snapshot, "--yes", "--strategy", "delta", uri=proxy.uri)
    assert rule.seen
    assert p.digest() == before
    return first


@pytest.mark.parametrize("kind", [int, "k{}".format], ids=["number", "text"])
def test_a_change_of_case_during_a_restore_is_saved_where_the_collation_ignores_case(project, kind):
    p = project
    fold(p, "users")
    first = restore_while(p, kind, "CHANGED")
    assert anywhere(p, first, "CHANGED")


def test_a_change_of_case_in_a_document_that_a_restore_removes_is_saved(project):
    p = project
    fold(p, "users")
    p.db.users.insert_one({"_id": "kept", "v": "old"})
    snapshot = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.db.users.insert_one({"_id": "new", "v": "word"})
    rule = before_the_first(p, "delete", lambda: p.db.users.update_one({"_id": "new"}, {"$set": {"v": "WORD"}}))
    with WireProxy(p.uri, [rule]) as proxy:
        p.mig("restore", snapshot, "--yes", "--strategy", "delta", uri=proxy.uri)
    assert rule.seen
    assert anywhere(p, "new", "WORD")


def test_another_type_of_a_number_during_a_restore_is_saved(project):
    p = project
    has_document_size(p)
    first = restore_while(p, int, 1.0)
    assert anywhere(p, first, 1.0)


@pytest.mark.parametrize("kind", [int, "k{}".format], ids=["number", "text"])
def test_archive_documents_leaves_one_whose_case_was_changed_meanwhile(project, kind):
    p = project
    fold(p, "users")
    p.db.users.insert_many([{"_id": kind(i), "at": OLD, "v": "x"} for i in range(20)])
    p.write("0001_archive", {"transaction": "off", "up": [
        {"archiveDocuments": {"from": "users", "to": "old", "field": "at", "olderThan": "2010-01-01"}}]})
    rule = before_the_first(p, "delete", lambda: p.db.users.update_one({"_id": kind(1)}, {"$set": {"v": "X"}}))
    with WireProxy(p.uri, [rule]) as proxy:
        result = p.mig("up", uri=proxy.uri, code=3)
    assert rule.seen
    assert "changed by somebody else" in result.err
    assert anywhere(p, kind(1), "X")
    assert p.db.users.count_documents({}) == 20
    assert "old" not in p.db.list_collection_names()

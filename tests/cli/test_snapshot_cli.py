"""snapshot create, list, show, verify; and the archive in the eyes of programs that know nothing of mig."""
import datetime
import decimal
import hashlib
import importlib.util
import json
import os
import pathlib
import re
import stat
import subprocess

import bson.json_util
import pymongo
import pytest

from cli_support import MAIL, REFUSED_BY_SERVER, add_users, one, picture, snapshots, three_lines, with_validator
from conftest import RAW, documents_of

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"


def fill(p):
    """Two collections with every kind of value that a document may hold, an index, a validator."""
    with_validator(p, "users", {"age": {"$gte": 0}})
    add_users(p, 40)
    p.db.users.create_index([("email", 1)], name="by_email", unique=True)
    values = {"double": 0.1, "minus_zero": -0.0, "text": "käse \0 \U0001f9c0",
              "long": bson.Int64(2**62), "int": -1, "null": None,
              "true": True, "date": datetime.datetime(1969, 12, 31, 23, 59, 59, 999000), "bin": b"\0\xff",
              "uuid": bson.Binary(bytes(16), 4), "oid": bson.ObjectId(), "regex": bson.Regex("^a", "im"),
              "code": bson.Code("f()"),
              "ts": bson.Timestamp(7, 1), "decimal": bson.Decimal128(decimal.Decimal("1.10")), "min": bson.MinKey(),
              "max": bson.MaxKey(), "nested": {"b": [1, {"a": []}], "": {}}}
    p.db["odd name/%é"].insert_many([{"_id": i, **values} for i in ("a", 1, 2.5, bson.ObjectId(), None, True)])
    return ["odd name/%é", "users"]


def create(p, *args):
    return one(p.mig("snapshot", "create", "--json", *args), "snapshot")


# ---- create ------------------------------------------------------------------------------------------------------------

def test_create_copies_the_whole_database_and_changes_nothing(project):
    names = fill(project)
    before = project.digest()
    made = create(project)
    path = pathlib.Path(made["path"])
    assert path.parent == project.store and path.name == made["snapshot"] + ".mig.tar"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(project.store.stat().st_mode) == 0o700
    assert made["documents"] == 46 and made["bytes"] == path.stat().st_size
    assert made["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    shown = {line["collection"]: line for line in project.mig("snapshot", "show", made["snapshot"], "--json").lines
             if "collection" in line}
    assert sorted(n for n in shown if not n.startswith("migration")) == names
    assert (shown["users"]["documents"], shown["users"]["indexes"], shown["users"]["holds"]) == (40, 2, "documents")
    assert project.digest() == before and not project.partials()


def test_create_only_copies_just_that(project):
    fill(project)
    made = create(project, "--only", "users")
    shown = project.mig("snapshot", "show", made["snapshot"]).out
    assert made["documents"] == 40 and "users" in shown and "odd" not in shown
    both = create(project, "--only", "users", "--only=odd name/%é")
    assert both["documents"] == 46


def test_same_content_has_the_same_digest_and_other_content_another(project):
    fill(project)
    first, second = create(project), create(project)
    assert first["digest"] == second["digest"] and first["snapshot"] != second["snapshot"]
    project.db.users.update_one({"_id": 7}, {"$set": {"age": 48}})
    assert create(project)["digest"] != first["digest"]


def test_create_of_a_collection_that_is_not_there_is_refused_and_writes_nothing(project):
    """It was recorded as absent, exit 0: nothing was saved, and a restore of it would have dropped the collection."""
    fill(project)
    before = project.digest()
    for name, word in (("user", "users"), (f"{project.name}.user", "users"), ("Users", "users"), ("nowhere", "nowhere"),
                       (f"other_{project.name}.users", "users"), (f"{project.name}.{project.name}.users", "users")):
        for only in (["--only", name], ["--only", "users", "--only", name]):
            result = project.mig("snapshot", "create", *only, code=2)
            three_lines(result, name, word, "--only")
    assert "did you mean users?" in project.mig("snapshot", "create", "--only", "user", code=2).err
    assert not snapshots(project) and not project.partials() and project.digest() == before


def test_create_takes_database_and_collection_as_restore_does(project):
    """app.users was recorded as a collection of that name, absent."""
    fill(project)
    made = create(project, "--only", f"{project.name}.users", "--only", "users")
    assert made["documents"] == 40
    shown = project.mig("snapshot", "show", made["snapshot"], "--json").lines
    assert [line["collection"] for line in shown if "collection" in line] == ["users"]
    both = f"{project.name}.users"
    project.db[both].insert_many([{"_id": i} for i in range(3)])  # one of just that name comes first
    made = create(project, "--only", both)
    assert made["documents"] == 3
    project.db[both].delete_many({})
    project.mig("restore", made["snapshot"], "--yes", "--only", both)
    assert project.db[both].count_documents({}) == 3 and project.db.users.count_documents({}) == 40


def test_create_of_what_no_restore_could_put_back_is_still_refused_by_name(project):
    fill(project)
    for name in ("migrationlocks", f"{project.name}.migrationlocks", "system.js"):
        three_lines(project.mig("snapshot", "create", "--only", name, code=1), name, "ours or the server's")
    assert not snapshots(project)


def test_a_migrations_own_snapshot_still_records_what_is_not_there(project):
    """So that a failed migration leaves no collection behind that it has made."""
    add_users(project)
    project.write("0001_x", {"transaction": "off", "up": [{"createCollection": {"collection": "fresh"}},
                                                          {"insert": {"collection": "fresh", "documents": [{"_id": 1}]}},
                                                          REFUSED_BY_SERVER]})
    project.mig("up", code=None)
    assert "fresh" not in project.db.list_collection_names()
    shown = project.mig("snapshot", "show", snapshots(project)[0], "--json").lines  # what it displaced is another one
    assert {line["collection"]: line["holds"] for line in shown if "collection" in line}["fresh"] == "absent"


def stored_functions(p):
    try:
        p.db["system.js"].insert_one({"_id": "twice", "value": bson.Code("function(x){return 2*x}")})
    except pymongo.errors.PyMongoError as error:
        pytest.skip(f"this server stores no functions: {str(error)[:100]}")


def test_stored_functions_are_named_as_left_out_of_snapshots_and_restores(project):
    """system.js is the users' own. A snapshot of the whole database, and a restore of it, left it out without a word."""
    fill(project)
    stored_functions(project)
    result = project.mig("snapshot", "create", "--json")
    made = one(result, "snapshot")
    assert made["leftOut"] == ["system.js"] and result.err.count("system.js, the functions stored in the server, is not in") == 1
    only = project.mig("snapshot", "create", "--json", "--only", "users")
    assert "leftOut" not in one(only, "snapshot") and "system.js" not in only.err  # nobody asked for it
    project.db["system.js"].update_one({"_id": "twice"}, {"$set": {"value": bson.Code("function(x){return 3*x}")}})
    restored = project.mig("restore", made["snapshot"], "--yes", "--json")
    assert one(restored, "restored")["stays"] == ["system.js"]
    assert "system.js" in project.mig("restore", made["snapshot"], "--yes").out
    assert "3*x" in str(project.db["system.js"].find_one())
    project.db["system.js"].delete_many({})  # empty: there is nothing to lose
    result = project.mig("snapshot", "create", "--json")
    assert "leftOut" not in one(result, "snapshot") and "system.js" not in result.err
    assert one(project.mig("restore", made["snapshot"], "--yes", "--json"), "restored")["stays"] == []


def test_stored_functions_of_a_dump_are_named_as_left_out(project):
    folder = project.folder / "dump" / "app"
    folder.mkdir(parents=True)
    (folder / "users.bson").write_bytes(bson.encode({"_id": 1}))
    (folder / "users.metadata.json").write_text('{"indexes":[],"collectionName":"users","type":"collection"}')
    result = project.mig("snapshot", "import", "dump", "--json")
    assert "leftOut" not in one(result, "snapshot") and "system.js" not in result.err
    (folder / "system.js.bson").write_bytes(bson.encode({"_id": "twice", "value": bson.Code("function(x){return 2*x}")}))
    result = project.mig("snapshot", "import", "dump", "--json")
    assert one(result, "snapshot")["leftOut"] == ["system.js"] and "app.system.js, the functions stored" in result.err


# ---- list, show --------------------------------------------------------------------------------------------------------

def test_list_shows_what_is_there_and_marks_what_cannot_be_read(project):
    assert "no snapshots" in project.mig("snapshot", "list").out
    fill(project)
    first, second = create(project, "--only", "users"), create(project)
    pathlib.Path(second["path"]).write_bytes(b"no archive at all")
    listed = {line["snapshot"]: line for line in project.mig("snapshot", "list", "--json").lines if "snapshot" in line}
    assert set(listed) == {first["snapshot"], second["snapshot"]}
    assert listed[first["snapshot"]]["readable"] and listed[first["snapshot"]]["documents"] == 40
    assert not listed[second["snapshot"]]["readable"]
    assert first["snapshot"] in project.mig("snapshot", "list").out


def test_snapshot_is_found_by_id_beginning_of_it_or_path_and_without_a_server(project):
    fill(project)
    made = create(project)
    (project.folder / "elsewhere").mkdir()
    copy = project.folder / "elsewhere" / "copy.mig.tar"
    copy.write_bytes(pathlib.Path(made["path"]).read_bytes())
    for name in (made["snapshot"], made["snapshot"][:17], made["path"], copy, "elsewhere/copy.mig.tar"):
        shown = project.mig("snapshot", "show", name, "--json", uri="mongodb://127.0.0.1:1/").lines
        assert shown[-2]["digest"] == made["digest"]
        project.mig("snapshot", "verify", name, uri="mongodb://127.0.0.1:1/")


def test_unknown_and_ambiguous_ids_are_refused(project):
    fill(project)
    create(project), create(project)
    three_lines(project.mig("snapshot", "show", "nothing", code=1), '"nothing"', "snapshot list")
    three_lines(project.mig("snapshot", "show", "20", code=2), "more than one", "give more of the id")
    three_lines(project.mig("snapshot", "show", "../../etc/passwd", code=1), "passwd")


# ---- verify ------------------------------------------------------------------------------------------------------------

def test_verify_says_good_of_a_good_one(project):
    fill(project)
    made = create(project)
    assert "good" in project.mig("snapshot", "verify", made["snapshot"]).out


def test_verify_finds_an_altered_byte_in_each_part(project):
    fill(project)
    made = create(project)
    path = pathlib.Path(made["path"])
    whole = path.read_bytes()
    for at in [0, 100, 511, 600, len(whole) // 3, len(whole) // 2, len(whole) - 2000, len(whole) - 1100, len(whole) - 1]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        result = project.mig("snapshot", "verify", made["snapshot"], code=6)
        assert "DAMAGED" in result.out, f"byte {at}"
        three_lines(result, path.name, "another copy")
    path.write_bytes(whole)
    project.mig("snapshot", "verify", made["snapshot"])


def test_verify_finds_a_truncated_one(project):
    fill(project)
    path = pathlib.Path(create(project)["path"])
    whole = path.read_bytes()
    for size in [0, 1, 512, len(whole) // 2, len(whole) - 1024, len(whole) - 1]:
        path.write_bytes(whole[:size])
        result = project.mig("snapshot", "verify", path, "--json", code=6)
        assert result.lines[0]["good"] is False and result.lines[-1]["exit"] == 6, f"{size} bytes"


def test_verify_of_several_names_each_and_fails_if_one_is_damaged(project):
    fill(project)
    good, bad = create(project), create(project, "--only", "users")
    path = pathlib.Path(bad["path"])
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    lines = project.mig("snapshot", "verify", good["snapshot"], bad["snapshot"], "--json", code=6).lines
    assert [(line["snapshot"], line["good"]) for line in lines[:-1]] == [(good["snapshot"], True),
                                                                         (bad["snapshot"], False)]


def test_verify_of_a_missing_one_fails(project):
    fill(project)
    create(project)
    three_lines(project.mig("snapshot", "verify", "20010101T000000Z-nothing-abcdef", code=1), "there is no snapshot")
    three_lines(project.mig("snapshot", "verify", "no/such/file.mig.tar", code=1), "no/such/file.mig.tar", "No such file")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("damaged/*.mig.tar")), ids=lambda p: p.name.removesuffix(".mig.tar"))
def test_kept_damaged_archive_is_refused_by_verify_and_restore(project, path):
    project.mig("snapshot", "verify", path, code=6)
    result = project.mig("restore", path, "--yes", code=1)
    three_lines(result, path.name)
    assert picture(project) == {"exists": False}
    if "newer-format" in path.name:
        three_lines(result, "format", "use a newer mig")


# ---- the independent readers -------------------------------------------------------------------------------------------

def unpack(path, folder):
    folder.mkdir()
    subprocess.run(["tar", "-xf", path, "-C", folder], check=True)
    return folder


def percent(name):
    """As docs/snapshot-format.md says: all but [A-Za-z0-9_-] and '.' behind the front is %XX."""
    return "".join(chr(b) if re.match(rb"[A-Za-z0-9_-]", bytes([b])) or (b == 46 and i) else f"%{b:02X}"
                   for i, b in enumerate(name.encode()))


def test_tar_zstd_and_pymongo_find_the_database_byte_for_byte(project):
    p = project
    names = fill(p)
    p.db.empty.insert_one({}), p.db.empty.delete_many({})
    folder = unpack(create(p)["path"], p.folder / "unpacked")
    raw = p.client.get_database(p.name, codec_options=RAW)
    for name in [*names, "empty"]:
        place = folder / percent(p.name) / percent(name)
        found = b"".join(subprocess.run(["zstd", "-dcq", chunk], check=True, capture_output=True).stdout
                         for chunk in sorted(place.glob("*.bson.zst")))
        there = [d.raw for d in raw[name].find()]
        assert sorted(d.raw for d in documents_of(found)) == sorted(there) and len(found) == sum(map(len, there))
        if name == "users":
            assert found == b"".join(d.raw for d in raw[name].find().sort("_id", 1)), "in _id order"
        metadata = json.loads((place / "metadata.json").read_text())
        assert {i["name"] for i in metadata["indexes"]} == set(p.db[name].index_information())
    metadata = bson.json_util.loads((folder / percent(p.name) / "users" / "metadata.json").read_text())
    assert metadata["options"]["validator"] == {"age": {"$gte": 0}}


def test_sums_in_the_manifest_are_those_of_the_members(project):
    p = project
    fill(p)
    made = create(p)
    folder = unpack(made["path"], p.folder / "unpacked")
    manifest = json.loads((folder / "manifest.json").read_text())
    archive = pathlib.Path(made["path"]).read_bytes()
    members = [{**manifest["header"], "size": manifest["header"]["bytes"]}]
    for c in manifest["collections"]:
        members.append({**c["metadata"], "size": c["metadata"]["bytes"]})
        members += [{**k, "size": k["storedBytes"]} for k in c["chunks"]]
        raw = b"".join(subprocess.run(["zstd", "-dcq", folder / k["member"]], check=True, capture_output=True).stdout
                       for k in c["chunks"])
        assert hashlib.sha256(raw).hexdigest() == c["sha256"] and len(raw) == c["rawBytes"]
        assert len(documents_of(raw)) == c["documents"]
    for m in members:
        content = (folder / m["member"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == m["sha256"] and len(content) == m["size"]
        assert archive[m["offset"]:m["offset"] + m["size"]] == content
    files = sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())
    assert files == sorted([m["member"] for m in members] + ["manifest.json"]), "nothing stands beside the manifest"
    listing = subprocess.run(["tar", "-tf", made["path"]], check=True, capture_output=True, text=True).stdout.split("\n")
    assert listing[0] == "mig-snapshot.json" and listing[-2] == "manifest.json"
    assert manifest["database"] == p.name and manifest["digest"] == made["digest"] and manifest["documents"] == 46


def test_second_reader_written_from_the_format_page_agrees(project):
    reader = GOLDEN / "read_snapshot.py"
    if not reader.exists():
        pytest.skip("tests/golden/read_snapshot.py is not there")
    fill(project)
    project.write("0001_cut", {"up": [{"delete": {"collection": "users", "filter": {"email": MAIL.format(1)}}},
                                      {"insert": {"collection": "nowhere", "documents": [{"_id": 1}]}}]})
    project.mig("up")  # its snapshot records that nowhere is absent
    create(project), create(project, "--only", "users")
    spec = importlib.util.spec_from_file_location("read_snapshot", reader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    absent = 0
    for path in snapshots(project):
        manifest = module.verify(str(path))
        absent += sum(c["holds"] == "absent" for c in manifest["collections"])
        shown = project.mig("snapshot", "show", path, "--json").lines[-2]
        assert (manifest["digest"], manifest["documents"]) == (shown["digest"], shown["documents"])
    assert len(snapshots(project)) == 3 and os.path.getsize(path) > 0 and absent == 1

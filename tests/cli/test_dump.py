"""snapshot export and import against the real mongodump and mongorestore (scripts/peers builds them)."""
import gzip
import io
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading

import bson
import pytest

from cli_support import add_users, one, snapshots, three_lines
from conftest import RAW, Result
from test_snapshot_cli import fill
from wireproxy import Rule, WireProxy

NOWHERE = "mongodb://127.0.0.1:1/"


def peer(name):
    folder = os.environ.get("MIG_PEERS")
    if not folder:
        pytest.skip(f"{name} is not there: MIG_PEERS is not set (scripts/test sets it where scripts/peers can build them)")
    return str(pathlib.Path(folder) / name)


def dump(p, *args, stdout=None):
    done = subprocess.run([peer("mongodump"), "--quiet", f"--uri={p.uri}", f"--db={p.name}", *map(str, args)], stdout=stdout or subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def load(p, *args, database=None):
    done = subprocess.run([peer("mongorestore"), "--quiet", f"--uri={p.uri}", *map(str, args)], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()


def create(p, *args):
    return one(p.mig("snapshot", "create", "--json", *args), "snapshot")


def bring(p, *args, **how):
    """Imports; needs no server for that."""
    return one(p.mig("snapshot", "import", "--json", *args, uri=NOWHERE, **how), "snapshot")


def forget(p):
    p.client.drop_database(p.name)


@pytest.fixture
def full(project):
    """Every type, odd names, an index, a validator, many documents in no order of _id, a view where there are any."""
    fill(project)
    # said in full: a restore by collMod says it in full, and a server that was not told leaves it out
    set_validator(project)
    numbers = list(range(3000))
    random.Random(5).shuffle(numbers)
    project.db.many.insert_many([{"_id": i, "text": "x" * (i % 50)} for i in numbers])
    try:
        project.db.command("create", "seen", viewOn="users", pipeline=[{"$match": {"age": {"$gt": 7}}}])
    except Exception:  # noqa: BLE001
        pass
    project.before = project.digest()
    return project


def set_validator(p):
    p.db.command("collMod", "users", validator={"age": {"$gte": 0}}, validationLevel="strict", validationAction="error")


def takes_validators(p):
    """Some servers forget the validator that create is given, which is all that mongorestore does."""
    p.db.create_collection("tried", validator={"a": 1})
    info = next(c for c in p.db.list_collections() if c["name"] == "tried")
    p.db.tried.drop()
    return "validator" in info.get("options", {})


# ---- export ------------------------------------------------------------------------------------------------------------

def test_mongorestore_loads_an_export(full):
    made = create(full)
    result = one(full.mig("snapshot", "export", made["snapshot"], "out", "--json", uri=NOWHERE), "exported")
    assert result["documents"] == made["documents"] and not list(full.folder.glob("out.*"))
    assert (full.folder / "out").stat().st_mode & 0o777 == 0o700
    forget(full)
    load(full, full.folder / "out")
    if not takes_validators(full):
        set_validator(full)
    assert full.digest() == full.before


def test_an_export_is_plain_bson_byte_for_byte(project):
    fill(project)
    made = create(project)
    project.mig("snapshot", "export", made["snapshot"], "out", "--only", "odd name/%é")
    files = sorted(f.relative_to(project.folder / "out") for f in (project.folder / "out").rglob("*") if f.is_file())
    assert [str(f) for f in files] == [f"{project.name}/odd+name%2F%25%C3%A9.{end}" for end in ("bson", "metadata.json")]
    exported = bson.decode_all((project.folder / "out" / files[0]).read_bytes(), RAW)
    raw = project.client.get_database(project.name, codec_options=RAW)
    assert sorted(d.raw for d in exported) == sorted(d.raw for d in raw["odd name/%é"].find())


def test_export_overwrites_nothing_and_leaves_nothing_behind(project):
    add_users(project)
    made = create(project)
    taken = project.folder / "taken"
    taken.mkdir()
    (taken / "mine").write_text("mine")
    three_lines(project.mig("snapshot", "export", made["snapshot"], "taken", code=2), "taken")
    (project.folder / "file").write_text("mine")
    three_lines(project.mig("snapshot", "export", made["snapshot"], "file", code=2))
    three_lines(project.mig("snapshot", "export", made["snapshot"], "out", "--only", "nothere", code=2))
    data = bytearray(pathlib.Path(made["path"]).read_bytes())
    data[1500] ^= 1
    pathlib.Path(made["path"]).write_bytes(data)
    three_lines(project.mig("snapshot", "export", made["snapshot"], "out", code=1))
    assert sorted(f.name for f in project.folder.iterdir()) == ["file", "migrations", "snapshots", "taken"]
    assert (taken / "mine").read_text() == "mine"


def test_an_export_imported_again_has_the_same_digest(full):
    made = create(full)
    full.mig("snapshot", "export", made["snapshot"], "out")
    again = bring(full, "out")
    assert again["documents"] == made["documents"]
    diff = full.mig("snapshot", "diff", made["snapshot"], again["snapshot"], uri=NOWHERE)
    assert "nothing differs" in diff.out
    if "ferretdb" not in full.client.server_info():  # it lists other fields of a collection
        assert again["digest"] == made["digest"]


# ---- import ------------------------------------------------------------------------------------------------------------

FORMS = {"folder": [], "folder, gzip": ["--gzip"], "archive": ["--archive"], "archive, gzip": ["--archive", "--gzip"]}


def dumped(p, form):
    """What to import: made by mongodump."""
    if "archive" in form:
        dump(p, f"--archive={p.folder / 'dump.bin'}", *FORMS[form][1:])
        return p.folder / "dump.bin"
    dump(p, "--out", p.folder / "dump", *FORMS[form])
    return p.folder / "dump"


@pytest.mark.parametrize("form", FORMS)
def test_what_mongodump_wrote_is_restored_exactly(full, form):
    made = bring(full, dumped(full, form))
    assert not list(full.store.glob(".*")) and not full.partials()
    forget(full)
    full.mig("restore", made["snapshot"], "--yes", "--no-safety-snapshot")
    assert full.digest() == full.before
    assert "nothing differs" in full.mig("snapshot", "diff", made["snapshot"]).out


def test_an_archive_is_taken_from_a_pipe(full):
    data = dump(full, "--archive")
    for text in (data, gzip.compress(data)):
        done = subprocess.run([os.environ["MIG_BIN"], "snapshot", "import", "-", "--json"], input=text, capture_output=True,
                              cwd=full.folder, env=full.environment(), timeout=120)
        assert done.returncode == 0, done.stderr
    assert len(snapshots(full)) == 2
    forget(full)
    full.mig("restore", snapshots(full)[0].name.removesuffix(".mig.tar"), "--yes", "--no-safety-snapshot")
    assert full.digest() == full.before


def test_documents_stand_in_the_order_of_id(full):
    made = bring(full, dumped(full, "archive"))
    chunks = subprocess.run(["tar", "xOf", made["path"], "--wildcards", "*/many/0*.zst"], capture_output=True, check=True).stdout
    raw = subprocess.run(["zstd", "-dcq"], input=chunks, capture_output=True, check=True).stdout
    assert [d["_id"] for d in bson.decode_all(raw)] == list(range(3000))


def test_only_and_the_folder_of_one_database(full):
    folder = dumped(full, "folder")
    made = bring(full, folder / full.name, "--only", "users")
    shown = full.mig("snapshot", "show", made["snapshot"]).out
    assert "users" in shown and "many" not in shown and full.name in shown
    three_lines(full.mig("snapshot", "import", folder, "--only", "nothere", code=2), "nothere")


def test_a_database_that_the_dump_does_not_hold_is_refused_also_where_there_is_only_one(project):
    folder = project.folder / "dump"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "users.bson").write_bytes(bson.encode({"_id": 1}))
    for path in (folder, folder / "shop"):
        three_lines(project.mig("snapshot", "import", path, "--db", "nothere", code=2), "shop", "not nothere")
    assert snapshots(project) == []
    for path in (folder, folder / "shop"):
        assert bring(project, path, "--db", "shop")["documents"] == 1
        assert bring(project, path, MIG_DB="elsewhere")["documents"] == 1, "where mig works is no choice of a dump's"


def test_one_of_several_databases_is_named_with_db(project, tmp_path):
    other = type(project)(project.uri, tmp_path / "other")
    try:
        add_users(project)
        add_users(other, 7)
        folder = dumped(project, "folder")
        shutil.copytree(dumped(other, "folder") / other.name, folder / other.name)
        three_lines(project.mig("snapshot", "import", folder, code=2, MIG_DB="elsewhere"), project.name, other.name, "--db")
        made = bring(project, folder, "--db", other.name)
        assert made["documents"] == 7
    finally:
        other.close()


# ---- dumps that cannot be trusted: made by hand, no peer needed --------------------------------------------------------

def hand(p, documents=b"", metadata='{"options":{},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"}]}', name="c"):
    folder = p.folder / "dump" / "app"
    folder.mkdir(parents=True, exist_ok=True)
    if documents is not None:
        (folder / f"{name}.bson").write_bytes(documents)
    if metadata is not None:
        (folder / f"{name}.metadata.json").write_text(metadata)
    return p.folder / "dump"


GOOD = bson.encode({"_id": 1, "a": "x"})


@pytest.mark.parametrize("documents, metadata, word", [
    (GOOD + GOOD[:-3], "{}", "middle"),
    (GOOD + b"\0\0\0\0", "{}", "no document"),
    (GOOD[:4] + b"\x7f" + GOOD[5:], "{}", "BSON"),
    (b"\xff\xff\xff\xff", "{}", "no document"),
    (GOOD, "{", "metadata.json:1"),
    (GOOD, "", "is empty"),
    (GOOD, " \n\t", "is empty"),
    (b"", "", "is empty"),
    (None, "{}", "no .bson"),
    (None, '{"type":"collection","options":{"capped":true,"size":4096}}', "no .bson"),
    (GOOD, '{"options":[]}', "options"),
    (GOOD, '{"indexes":[{"v":2}]}', "indexes"),
    (GOOD, '{"uuid":"xyz"}', "uuid"),
    (GOOD, '{"options":{"$db":"admin"}}', "options"),
    (GOOD, '{"options":{"lsid":{}}}', "options"),
    (GOOD, '{"indexes":[{"key":{"a":1},"name":"a","$db":"admin"}]}', "indexes"),
    (GOOD, '{"type":"timeseries"}', "time series"),
    (None, '{"type":"timeseries"}', "time series"),  # as mongodump leaves it: the documents are in another file
    (GOOD, '{"type":"view","options":{"viewOn":"x","pipeline":[]}}', "view"),
    (GOOD, '{"options":{"viewOn":"x","pipeline":[]}}', "view"),
    (GOOD, '{"indexes":[{"v":2,"key":{"a":1},"name":"a","partialFilterExpression":{"t":{"$date":"2026-02-31"}}}]}', "metadata.json:1"),
])
def test_a_damaged_dump_is_refused_and_leaves_nothing(tmp_path, documents, metadata, word):
    p = Offline(tmp_path)
    result = p.mig("snapshot", "import", hand(p, documents, metadata), code=None)
    assert result.code in (1, 2), result
    three_lines(result, word)
    assert not list(p.store.glob("*")) and not list(p.store.glob(".*"))


@pytest.mark.parametrize("first, second", [(1, 1), ("x", "x"), (7, bson.Int64(7)), (7, 7.0), ({"a": 1}, {"a": 1})], ids=str)
def test_a_dump_with_one_id_twice_is_refused_by_name(tmp_path, first, second):
    """A document that was removed and inserted again while mongodump read: it would be good to look at, and never restorable."""
    p = Offline(tmp_path)
    between = [bson.encode({"_id": f"other {i}", "pad": "x" * 100}) for i in range(3)]
    folder = hand(p, b"".join([bson.encode({"_id": first, "of": "before"}), *between, bson.encode({"_id": second, "of": "after"})]))
    three_lines(p.mig("snapshot", "import", folder, code=2), "app.c", "two documents", "_id")
    assert not list(p.store.glob("*")) and not list(p.store.glob(".*"))
    (folder / "app" / "c.bson").write_bytes(b"".join(bson.encode({"_id": i}) for i in (1, 1.5, 2, "1", "2", {"a": 1}, {"a": 2})))
    p.mig("snapshot", "import", folder)


class Offline:
    """A folder and the program, without a server."""

    def __init__(self, folder):
        from conftest import Project
        self.folder, self.store, self.uri, self.name, self.env = folder, folder / "snapshots", NOWHERE, "app", {}
        self.mig, self.environment = Project.mig.__get__(self), Project.environment.__get__(self)


MEMBER = gzip.compress(GOOD, mtime=0)
META = gzip.compress(b"{}", mtime=0)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


DAMAGED_GZIP = {
    "check sum": (flipped(MEMBER, -8), "data check"),
    "length": (flipped(MEMBER, -4), "length check"),
    "magic": (flipped(MEMBER, 0), "does not begin as gzip"),
    "plain": (GOOD, "does not begin as gzip"),
    "empty": (b"", "empty"),
    "one byte": (MEMBER[:1], "does not begin as gzip"),
    "cut header": (MEMBER[:6], "middle"),
    "cut": (MEMBER[:-12], "middle"),
    "cut check sum": (MEMBER[:-1], "middle"),
    "damaged second": (MEMBER + flipped(MEMBER, 0), "behind"),
    "second without its second byte": (MEMBER + flipped(MEMBER, 1), "behind"),
    "check sum of the second": (MEMBER + flipped(MEMBER, -8), "data check"),
    "cut second": (MEMBER + MEMBER[:6], "middle"),
    "second is one byte": (MEMBER + MEMBER[:1], "middle"),
    "zeros between": (MEMBER + b"\0" * 512 + MEMBER, "behind"),
    "zeros behind": (MEMBER + b"\0" * 512, "behind"),
}


@pytest.mark.parametrize("how", DAMAGED_GZIP)
def test_a_damaged_gzip_folder_is_refused_and_leaves_nothing(tmp_path, how):
    p, (data, word) = Offline(tmp_path), DAMAGED_GZIP[how]
    folder = tmp_path / "dump" / "app"
    folder.mkdir(parents=True)
    for documents, metadata in ((data, META), (MEMBER, data.replace(MEMBER, META))):
        (folder / "c.bson.gz").write_bytes(documents)
        (folder / "c.metadata.json.gz").write_bytes(metadata)
        three_lines(p.mig("snapshot", "import", "dump", code=2), "unpacked", word)
        assert not list(p.store.glob("*")) and not list(p.store.glob(".*"))


def test_a_flipped_bit_in_what_is_compressed_never_gives_other_documents(tmp_path):
    p = Offline(tmp_path)
    folder = tmp_path / "dump" / "app"
    folder.mkdir(parents=True)
    (folder / "c.metadata.json.gz").write_bytes(META)
    r = random.Random(3)
    data = gzip.compress(b"".join(bson.encode({"_id": i, "text": r.randbytes(20).hex()}) for i in range(100)), mtime=0)
    for at in range(10, len(data), 29):  # what is in front says nothing of the documents
        damaged = flipped(data, at)
        with pytest.raises(Exception):
            gzip.decompress(damaged)
        (folder / "c.bson.gz").write_bytes(damaged)
        three_lines(p.mig("snapshot", "import", "dump", code=2), "unpacked")


def test_members_of_gzip_behind_each_other_and_plain_documents_that_look_like_it_are_taken(tmp_path):
    p = Offline(tmp_path)
    folder = tmp_path / "dump" / "app"
    folder.mkdir(parents=True)
    members = [gzip.compress(b"".join(bson.encode({"_id": n * 1000 + i, "r": os.urandom(300)}) for i in range(1000))) for n in range(3)]
    (folder / "c.bson.gz").write_bytes(gzip.compress(b"") + b"".join(members) + gzip.compress(b""))
    (folder / "c.metadata.json.gz").write_bytes(META)
    (folder / "none.bson.gz").write_bytes(gzip.compress(b""))
    (folder / "none.metadata.json.gz").write_bytes(META)
    looks = bson.encode({"_id": 0, "text": "x" * (0x88B1F - len(bson.encode({"_id": 0, "text": ""})))})
    assert looks[:3] == b"\x1f\x8b\x08"
    (folder / "looks.bson").write_bytes(looks)
    (folder / "looks.metadata.json").write_text("{}")
    assert bring(p, "dump")["documents"] == 3001


def test_query_operators_in_metadata_stay_operators(tmp_path):
    p = Offline(tmp_path)
    options = '{"validator":{"a":{"$type":"string"},"b":{"$regex":"^x","$options":"i"},"c":{"$type":{"$numberInt":"2"}}}}'
    made = bring(p, hand(p, GOOD, '{"options":%s,"indexes":[]}' % options))
    text = subprocess.run(["tar", "xOf", made["path"], "app/c/metadata.json"], capture_output=True, check=True).stdout.decode()
    assert '"$type" : "string"' in text and '"$regex" : "^x"' in text and '"c" : { "$type" : { "$numberInt" : "2" } }' in text


@pytest.mark.parametrize("metadata, documents", [
    ('{"options":{%s,"viewOn":"base","pipeline":[]},"indexes":[],"type":"view"}', None),
    ('{"options":{%s},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"}]}', GOOD)])
def test_options_that_belong_to_a_command_are_not_sent_with_ours(project, metadata, documents):
    """Old servers kept the name and the write concern of `create` among the options, and so do their dumps."""
    p = project
    stray = '"create":"elsewhere","writeConcern":{"w":0},"maxTimeMS":1,"comment":"x","apiVersion":"1"'
    made = bring(p, hand(p, documents, metadata % stray))
    sent = []
    with WireProxy(p.uri, [Rule("create", None, when=lambda body: sent.append(body))]) as proxy:
        result = p.mig("restore", made["snapshot"], "--yes", uri=proxy.uri, code=None)
    assert sent and all(not {"maxTimeMS", "comment", "apiVersion"} & body.keys() for body in sent), sent
    assert all(body["writeConcern"]["w"] == "majority" for body in sent)
    assert "elsewhere" not in p.db.list_collection_names()
    if result.code:  # a server that takes a view and makes a collection
        assert documents is None and "view" not in [c["type"] for c in p.db.list_collections()], result


def test_names_of_files_never_become_paths(tmp_path):
    p = Offline(tmp_path)
    for name in ("a%2F..%2F..%2Fetc", "a%2Fb"):
        made = bring(p, hand(p, GOOD, "{}", name))
    assert made["documents"] == 2
    p.mig("snapshot", "export", made["snapshot"], "out", uri=NOWHERE)
    files = [f for f in tmp_path.rglob("*") if f.is_file() and f.suffix == ".bson"]
    assert all(f.parent.name == "app" for f in files) and len(files) == 4


def test_collections_without_metadata_and_without_data(tmp_path):
    p = Offline(tmp_path)
    hand(p, GOOD, None, "bare")
    hand(p, None, '{"holds":"metadata"}', "empty")  # an export of ours, of a snapshot that holds no more
    hand(p, None, '{"type":"view","options":{"viewOn":"x","pipeline":[]}}', "seen")
    (p.folder / "dump" / "app" / "$admin.system.users.bson").write_bytes(GOOD)  # mongodump --dumpDbUsersAndRoles
    result = p.mig("snapshot", "import", "--json", hand(p, b"", "{}", "none"), uri=NOWHERE)
    made = one(result, "snapshot")
    warned = [line for line in result.err.splitlines() if "no .bson" in line]
    assert len(warned) == 1 and "app.empty" in warned[0] and "documents are not in the dump" in warned[0]
    warned = [line for line in result.err.splitlines() if "no metadata.json" in line]
    assert len(warned) == 1 and "app.bare" in warned[0] and "indexes" in warned[0] and "validator" in warned[0]
    shown = {line["collection"]: line for line in p.mig("snapshot", "show", made["snapshot"], "--json").lines if "collection" in line}
    assert (shown["bare"]["documents"], shown["bare"]["holds"], shown["bare"]["indexes"]) == (1, "documents", 1)
    assert shown["empty"]["holds"] == "metadata" and (shown["none"]["holds"], shown["none"]["documents"]) == ("documents", 0)


@pytest.mark.parametrize("metadata", ["{}", "", "{"])
def test_collections_that_are_not_wanted_may_lack_their_data_and_be_damaged(tmp_path, metadata):
    p = Offline(tmp_path)
    hand(p, None, metadata, "lost")
    result = p.mig("snapshot", "import", "--json", hand(p, GOOD, "{}"), "--only", "c", uri=NOWHERE)
    assert one(result, "snapshot")["documents"] == 1 and not result.err


def test_an_export_of_a_snapshot_that_holds_only_metadata_is_imported_again(project):
    add_users(project)
    project.write("0001_index", {"up": [{"createIndex": {"collection": "users", "key": {"n": 1}}}]})
    project.mig("up")
    archives = snapshots(project)
    assert len(archives) == 1
    name = archives[0].name.removesuffix(".mig.tar")
    project.mig("snapshot", "export", name, "out", "--only", "users")
    made = bring(project, "out")
    shown = {line["collection"]: line for line in project.mig("snapshot", "show", made["snapshot"], "--json").lines if "collection" in line}
    assert shown["users"]["holds"] == "metadata"
    if os.environ.get("MIG_PEERS"):
        project.db.users.drop()
        load(project, project.folder / "out")


@pytest.mark.parametrize("beside", ["c.bson", "c.bson.gz", "c.metadata.json", "c.metadata.json.gz"])
def test_collections_beside_folders_of_databases_are_refused(tmp_path, beside):
    """A folder of one database with another in it: which of the two is meant?"""
    p = Offline(tmp_path)
    (hand(p, GOOD) / beside).write_bytes(GOOD)
    three_lines(p.mig("snapshot", "import", "dump", code=2), beside, "app")
    assert not list(p.store.glob("*"))


def test_a_collection_named_oplog_is_one_like_any_other(tmp_path):
    p = Offline(tmp_path)
    result = p.mig("snapshot", "import", hand(p, GOOD, "{}", "oplog") / "app", "--json", uri=NOWHERE)
    assert one(result, "snapshot")["documents"] == 1 and "left out" not in result.err


def archive(blocks, prelude=None):
    """A mongodump archive by hand: blocks of (header, documents)."""
    out = io.BytesIO()
    out.write(bytes.fromhex("6de29981"))
    end = b"\xff\xff\xff\xff"
    entry = {"db": "app", "collection": "c", "metadata": "{}", "size": 0, "type": "collection"}
    out.write(bson.encode({"concurrent_collections": 4, "version": "0.1", "server_version": "5.0", "tool_version": "x"}))
    for e in [entry] if prelude is None else prelude:
        out.write(bson.encode(e))
    out.write(end)
    for header, documents in blocks:
        out.write(bson.encode({"db": "app", "collection": "c", **header}) + documents + end)
    return out.getvalue()


def crc64(data):
    crc = 2**64 - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xC96C5795D7870F42 if crc & 1 else 0)
    crc ^= 2**64 - 1
    return crc - 2**64 if crc >= 2**63 else crc


def finish(data):
    return {"EOF": True, "CRC": bson.Int64(crc64(data))}


def test_an_archive_by_hand_is_taken(tmp_path):
    p = Offline(tmp_path)
    other = bson.encode({"_id": 0})
    (tmp_path / "a").write_bytes(archive([({"EOF": False, "CRC": 0}, GOOD), ({"EOF": False}, other), (finish(GOOD + other), b"")]))
    assert bring(p, "a")["documents"] == 2


ENDS = {"EOF": True, "CRC": 0}
WHOLE = archive([({}, GOOD), (finish(GOOD), b"")])
VIEW = {"db": "app", "collection": "c", "metadata": '{"type":"view"}', "size": 0, "type": "view"}


def test_a_named_pipe_waits_for_its_writer(tmp_path):
    """mkfifo dump; mig snapshot import dump & mongodump --archive=dump: whoever comes first."""
    p = Offline(tmp_path)
    os.mkfifo(tmp_path / "a")
    writer = threading.Timer(1.5, lambda: (tmp_path / "a").write_bytes(WHOLE))
    writer.start()
    assert bring(p, "a")["documents"] == 1
    writer.join()


def test_only_what_is_no_collection_of_ours_may_be_missing_in_the_prelude(tmp_path):
    """Users and roles have no metadata, so mongodump does not name them there; and of other databases nobody asks."""
    p = Offline(tmp_path)
    blocks = [({}, GOOD), (finish(GOOD), b"")]
    for header in ({"collection": "$admin.system.users"}, {"collection": "system.roles"}, {"db": "", "collection": "oplog"}, {"db": "other"}):
        (tmp_path / "a").write_bytes(archive([*blocks, (header, GOOD), ({**header, **finish(GOOD)}, b"")]))
        assert bring(p, "a")["documents"] == 1
    (tmp_path / "a").write_bytes(archive([*blocks, ({"collection": "d"}, GOOD), ({"collection": "d", **finish(GOOD)}, b"")]))
    assert bring(p, "a", "--only", "c")["documents"] == 1


def test_an_oplog_that_is_left_out_is_told_once(tmp_path):
    """As mongodump --oplog writes it: a folder, an archive, and one that names it only at its blocks."""
    p = Offline(tmp_path)
    blocks = [({}, GOOD), ({"db": "", "collection": "oplog"}, GOOD), ({"db": "", "collection": "oplog"}, GOOD),
              ({"db": "", "collection": "oplog", **finish(GOOD + GOOD)}, b""), (finish(GOOD), b"")]
    mine = {"db": "app", "collection": "c", "metadata": "{}", "size": 0, "type": "collection"}
    oplog = {"db": "", "collection": "oplog", "metadata": "", "size": 0, "type": ""}
    (tmp_path / "named").write_bytes(archive(blocks, [mine, oplog]))
    (tmp_path / "unnamed").write_bytes(archive(blocks))
    hand(p, GOOD)
    (tmp_path / "dump" / "oplog.bson").write_bytes(GOOD)
    for dump_of in ("named", "unnamed", "dump"):
        result = p.mig("snapshot", "import", dump_of, "--json", uri=NOWHERE)
        assert one(result, "snapshot")["documents"] == 1
        told = [line for line in result.err.splitlines() if "oplog" in line]
        assert len(told) == 1 and dump_of in told[0] and "left out" in told[0] and "not replayed" in told[0], (dump_of, result)


@pytest.mark.parametrize("content, word", [
    (archive([({}, GOOD), (finish(GOOD), b"")], [{"db": "app", "collection": "c", "metadata": ""}]), "is empty"),
    (archive([({}, GOOD), (finish(GOOD), b"")], [{"db": "app", "collection": "c"}]), "is empty"),
    (archive([({}, GOOD), (finish(GOOD), b""), ({"collection": "d"}, GOOD), ({"collection": "d", **finish(GOOD)}, b"")]), "app.d"),
    (archive([({}, GOOD), (finish(GOOD), b""), ({"collection": "d", **ENDS}, b"")]), "app.d"),
    (archive([({}, GOOD), (finish(GOOD), b"")], [VIEW]), "view"),
    (archive([({"collection": None}, GOOD)]), "which collection"),
    (b"", "begin"),
    (b"not an archive at all", "begin"),
    (gzip.compress(b"not an archive"), "begin"),
    (gzip.compress(b"x" * 100000)[:50], "unpacked"),
    (gzip.compress(WHOLE)[:-4] + b"\1\1\1\1", "length check"),
    (gzip.compress(WHOLE)[:-8] + b"\1" * 4 + gzip.compress(WHOLE)[-4:], "data check"),
    (gzip.compress(WHOLE[:50]) + b"\1" + gzip.compress(WHOLE[50:])[1:], "behind"),
    (gzip.compress(WHOLE) + b"\0" * 20, "behind"),
    (gzip.compress(WHOLE) + gzip.compress(b"")[:6], "middle"),
    (gzip.compress(WHOLE)[:-1], "middle"),
    (archive([({}, GOOD)]), "ended"),
    (archive([({}, GOOD), (finish(GOOD), b"")])[:-1], "middle"),
    (archive([({}, GOOD), (finish(GOOD), b"")])[:-60], "middle"),
    (archive([({}, GOOD), (finish(b"other"), b"")]), "check sum"),
    (archive([({}, GOOD), (finish(GOOD), b""), ({}, GOOD)]), "behind its end"),
    (archive([({}, GOOD[:-1] + b"\x01")]), "BSON"),
    (archive([]), "ended"),
    (archive([], []), "no database"),
    (archive([({}, GOOD), (finish(GOOD), b"")]) + b"\xff\xff\xff\xff", "header"),
    (archive([], [{"db": "a/b", "collection": "c", "metadata": "{}"}]), "database name"),
    (archive([], [{"db": "app"}]), "no name"),
    (archive([({}, GOOD), (finish(GOOD), b"")], [{"db": "app", "collection": "c", "metadata": "{"}]), "metadata"),
])
def test_a_damaged_archive_is_refused_and_leaves_nothing(tmp_path, content, word):
    p = Offline(tmp_path)
    (tmp_path / "a").write_bytes(content)
    with open(tmp_path / "a", "rb") as pipe:
        piped = subprocess.run(["sh", "-c", 'cat | "$0" snapshot import -', os.environ["MIG_BIN"]], stdin=pipe, capture_output=True, text=True,
                               cwd=p.folder, env=p.environment(), timeout=120)
    for result in (p.mig("snapshot", "import", "a", code=None), Result(piped)):
        assert result.code in (1, 2), result
        three_lines(result, word)
        assert not list(p.store.glob("*")) and not list(p.store.glob(".*"))


def test_a_dump_is_imported_in_bounded_memory(tmp_path):
    """200 MB in no order: the most that was in memory at once is far below."""
    p = Offline(tmp_path)
    numbers = list(range(50_000))
    random.Random(1).shuffle(numbers)
    folder = hand(p, None, "{}")
    with open(folder / "app" / "c.bson", "wb") as f:
        for n in numbers:
            f.write(bson.encode({"_id": n, "text": "x" * 4000}))
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", code, os.environ["MIG_BIN"], "snapshot", "import", str(folder)], cwd=p.folder,
                          env=p.environment(), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    kib = int(done.stdout.split()[-1])
    if "asan" not in os.environ.get("MIG_BUILD_DIR", ""):
        assert kib < 64 * 1024, f"{kib} KiB"

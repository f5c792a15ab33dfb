"""Damaged and forged archives: refused with an error in three lines, before the server is asked to write anything.

Single rules are in tests/golden/damaged (made by tests/golden/damage.py); here every number of a manifest lies, every
kind of member is tried, and the program is shown each of them as a restore would. All sums of a forged archive are right.
"""
import pathlib
import re
import sys

import bson
import pytest

from cli_support import picture, three_lines
from conftest import HERE
from counts import count
from wireproxy import WireProxy

sys.path.insert(0, str(HERE / "golden"))
import damage  # noqa: E402

DAMAGED = sorted((HERE / "golden" / "damaged").glob("*.mig.tar"))
GOOD = damage.members(damage.GOOD)
CHUNK = next(i for i, m in enumerate(GOOD) if m[0].endswith("/000001.bson.zst"))
WRITES = {"insert", "update", "delete", "findAndModify", "create", "drop", "createIndexes", "dropIndexes", "renameCollection",
          "collMod", "dropDatabase"}


def test_every_damaged_archive_is_refused_before_the_first_write(project):
    p = project
    p.db.empty.insert_one({"_id": 1})
    p.mig("doctor")
    before = picture(p)
    with WireProxy(p.uri) as proxy:
        for path in DAMAGED:
            result = p.mig("restore", path, "--yes", uri=proxy.uri, code=1)
            three_lines(result, path.name)
    written = [seen for seen in proxy.log if seen[0] in WRITES]
    assert written == [] and len(DAMAGED) > 60
    assert picture(p) == before
    assert not p.store.exists() or list(p.store.iterdir()) == []
    count("kept damaged archives refused", len(DAMAGED))


def refused(project, forged, tmp_path):
    """One process looks at all of them. forged: {what: bytes}."""
    paths = []
    for number, (what, data) in enumerate(forged.items()):
        assert data != damage.GOOD, what
        paths.append(tmp_path / f"{number}.mig.tar")
        paths[-1].write_bytes(data)
    said = {}
    for at in range(0, len(paths), 500):
        result = project.mig("snapshot", "verify", *paths[at:at + 500], "--json", code=6)
        said.update({line["snapshot"]: line["good"] for line in result.lines if "good" in line})
    assert len(said) == len(paths)
    count("forged archives looked at", len(paths))
    return [what for path, what in zip(paths, forged) if said[str(path)]]


LIES = ["0", "1", "4096", "2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551615", "-1", "1e3", "0.5",
        "null", '"1"', "true"]


def test_no_number_of_a_manifest_can_lie(project, tmp_path):
    """All but the time at which the server says it read (which nothing in the archive could contradict)."""
    text, forged = GOOD[-1][2].decode(), {}
    numbers = [m for m in re.finditer(r'"(\w+)":(\d+)(?=[,}])', text) if m[1] not in ("seconds", "increment", "createdUnixMs")]
    assert len(numbers) > 40
    for m in numbers:
        for lie in [*LIES, str(int(m[2]) + 1), str(max(int(m[2]) - 1, 0))]:
            if lie == m[2]:
                continue
            changed = text[:m.start(2)] + lie + text[m.end(2):]
            data = damage.reseal(damage.replace(GOOD, -1, changed.encode()))
            if data != damage.GOOD:  # offsets and sizes are put right again when the sums are
                forged[f"{m[1]} at {m.start()}: {m[2]} -> {lie}"] = data
    assert len(forged) > 250
    assert refused(project, forged, tmp_path) == []


def test_no_field_of_a_manifest_can_be_missing_or_null(project, tmp_path):
    text, forged = GOOD[-1][2].decode(), {}
    for m in re.finditer(r'(?:(?<=[{,])|(?<=,\n))"\w+":("(?:[^"\\]|\\.)*"|\d+|true|false|\[\]|null),', text):
        if m[0].startswith('"manifestSha256"'):
            continue
        forged[f"{m[0][:40]} at {m.start()} left out"] = damage.reseal(damage.replace(GOOD, -1, (text[:m.start()] + text[m.end():]).encode()))
        if m[1] != "null":
            nulled = text[:m.start(1)] + "null" + text[m.end(1):]
            forged[f"{m[0][:40]} at {m.start()} null"] = damage.reseal(damage.replace(GOOD, -1, nulled.encode()))
    forged = {what: data for what, data in forged.items() if data != damage.GOOD}
    assert len(forged) > 100
    # the migration that a snapshot was taken for, and its direction, may be null: taken by hand
    assert [w for w in refused(project, forged, tmp_path) if '"migration"' not in w and '"direction"' not in w] == []


def test_no_member_but_a_plain_file_of_mode_0600_is_taken(project, tmp_path):
    forged = {}
    for flag in range(256):
        if flag != ord("0"):
            forged[f"type {flag:#x}"] = damage.reseal(damage.replace(GOOD, CHUNK, GOOD[CHUNK][2], typeflag=bytes([flag])))
    for index in range(len(GOOD)):
        for flag in b"12345678SLKgxXDMNV":
            forged[f"member {index} type {chr(flag)}"] = damage.unsized(damage.replace(GOOD, index, GOOD[index][2], typeflag=bytes([flag])))
    for mode in (0, 0o400, 0o644, 0o666, 0o700, 0o4600, 0o1600):
        forged[f"mode {mode:o}"] = damage.reseal(damage.replace(GOOD, CHUNK, GOOD[CHUNK][2], mode=mode))
    assert refused(project, forged, tmp_path) == []


@pytest.mark.parametrize("name", ["app/../../x.bson.zst", "/app/x", "..", ".", "", "app//x", "app/\n/x", "\\x", "C:/x", "app/%2E%2E/x", "~/x",
                                  "x" * 99])
def test_no_name_becomes_a_path(project, tmp_path, name):
    watched = sorted(tmp_path.parent.iterdir())
    forged = {name: damage.reseal(damage.replace(GOOD, CHUNK, GOOD[CHUNK][2], header_name=name)),
              name + " everywhere": damage.reseal(damage.replace(
                  damage.manifest_text(GOOD, GOOD[CHUNK][0], name.replace("\\", "\\\\").replace("\n", "\\n")), CHUNK, GOOD[CHUNK][2],
                  header_name=name, name=name))}
    assert refused(project, forged, tmp_path) == []
    assert sorted(tmp_path.parent.iterdir()) == watched and not pathlib.Path("/x").exists()


def renamed(data, old, new):
    """The same archive, in which a collection has another name of the same length; its sums are right."""
    parts = damage.members(data)
    for index, (name, _, content) in enumerate(parts):
        inside = content.replace(old.encode(), new.encode()) if name.endswith(".json") else content
        parts = damage.replace(parts, index, inside, name=name.replace(old, new), header_name=name.replace(old, new))
    return damage.reseal(parts)


@pytest.mark.parametrize("name", ["migrationlocks", "migrationevents", "migaside_00000000_0", "migstage_00000000_0", "system.js"])
def test_an_archive_that_holds_what_is_migs_own_is_not_restored_over_it(project, tmp_path, name):
    """The lease and the journal of the restore itself would be overwritten, and the counter of tokens go back."""
    p = project
    stand_in = "z" + name[1:]
    p.db.users.insert_many([{"_id": i} for i in range(5)])
    p.db[stand_in].insert_many([{"_id": "mig.fence", "value": 1}, {"_id": "x"}])
    made = p.mig("snapshot", "create", "--json").lines[0]
    forged = tmp_path / "forged.mig.tar"
    forged.write_bytes(renamed(pathlib.Path(made["path"]).read_bytes(), stand_in, name))
    p.mig("snapshot", "verify", forged)
    p.mig("doctor")
    p.db.users.delete_many({})
    before = p.digest(), list(p.db.migrationlocks.find())
    three_lines(p.mig("restore", forged, "--yes", code=2), name, "--only")
    three_lines(p.mig("restore", forged, "--yes", "--only", "users", "--only", name, code=2), name, "--only")
    assert (p.digest(), list(p.db.migrationlocks.find())) == before
    p.mig("restore", forged, "--yes", "--only", "users")
    assert p.db.users.count_documents({}) == 5 and p.mig("recover").out == "nothing to recover\n"
    p.mig("restore", forged, "--yes", "--as", f"{name}=beside")
    assert p.db.beside.count_documents({}) == 2


@pytest.mark.parametrize("name", ["migrationlocks", "migrationevents", "migaside_00000000_0", "system.js"])
def test_snapshots_and_imports_do_not_take_what_is_migs_own(project, tmp_path, name):
    p = project
    p.db.users.insert_one({"_id": 1})
    if not name.startswith("system."):
        p.db[name].insert_one({"_id": "x"})
    three_lines(p.mig("snapshot", "create", "--only", "users", "--only", name, code=1), name, "not put into snapshots")
    dump = tmp_path / "dump" / p.name
    dump.mkdir(parents=True)
    for collection in ("users", name):
        (dump / f"{collection}.bson").write_bytes(bson.encode({"_id": 1}))
    three_lines(p.mig("snapshot", "import", tmp_path / "dump", "--only", name, code=2), name, "not put into snapshots")
    assert not p.store.exists() or not list(p.store.glob("*.mig.tar"))
    made = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    assert name not in p.mig("snapshot", "show", made).out and "users" in p.mig("snapshot", "show", made).out

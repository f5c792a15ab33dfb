"""Bad files and bad surroundings: the exact exit code, the place, a hint, and nothing changed."""
import os
import pwd
import resource
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

from cli_support import add_field, add_users, events, ours_aside, picture, snapshots, three, three_lines
from conftest import Project

GOOD = '{"up": [{"addField": {"collection": "users", "field": "seen", "value": 1}}]}'

# name: content, place behind the path, words of the error
FILES = {
    "syntax_error": ('{\n  "up": [\n    {"addField": ]\n}\n', ":3:18", []),
    "cut_off": ('{\n  "up": [\n', ":3:1", []),
    "empty": ("", "", ["empty"]),
    "not_utf8": ('{\n  "description": "caf\udce9"}', ":2:22", ["UTF-8"]),
    "unknown_field": ('{\n  "descripton": "x",\n  "up": []\n}', ":2:3", ['"descripton"', 'did you mean "description"']),
    "unknown_step": ('{\n  "up": [\n    {"addFeild": {"collection": "users"}}\n  ]\n}', ":3:6",
                     ['"addFeild"', 'did you mean "addField"']),
    "unknown_guard": ('{"guards": [{"noDuplicate": {}}],\n ' + GOOD[1:], ":1:14", ['did you mean "noDuplicates"']),
    "unknown_argument": ('{"up": [\n{"addField": {"collection": "users", "feild": "x", "value": 1}}]}', ":2:38",
                         ['"feild"', 'did you mean "field"']),
    "wrong_type": ('{"up": [\n{"addField": {"collection": 7, "field": "x", "value": 1}}]}', ":2:15", ["collection", "7"]),
    "steps_not_a_list": ('{\n"up": {"addField": {}}}', ":2:1", ['"up"']),
    "missing_argument": ('{"up": [\n{"addField": {"collection": "users", "value": 1}}]}', ":2:", ["field"]),
    "no_step": ('{\n "up": []}', ":2:", ["up"]),
    "no_up": ('{"description": "x"}', ":1:1", ['"up"']),
    "duplicate_key": ('{\n  "up": [],\n  "up": []\n}', ":3:3", ['"up"', "twice"]),
    "reserved": ('{"up": [\n{"dropCollection": {"collection": "migrationlogs"}}]}', ":2:", ["migrationlogs"]),
    "wrong_choice": ('{"transaction": "of",\n' + GOOD[1:], ":1:2", ["transaction", '"of"', 'did you mean "off"']),
}


@pytest.mark.parametrize("case", FILES)
def test_bad_file_is_refused_with_its_place(project, case):
    content, place, words = FILES[case]
    add_users(project)
    project.write("0001_good", add_field())
    path = project.migrations / "0002_bad.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    before = picture(project)
    for command in (["up"], ["plan"], ["list"]):
        three_lines(project.mig(*command, code=2), f"migrations/0002_bad.json{place}", *words)
    three_lines(project.mig("validate", code=6), f"migrations/0002_bad.json{place}", *words)
    assert picture(project) == before, "the good file before it was not applied either"


@pytest.mark.parametrize("name, words", [
    ("nothing.json", ["number or a time"]), ("0002_has space.json", ["letters, digits"]),
    ("0002 x.json", ["behind the number"]), ("0002_.json", ["no name"]),
    ("2025-13-41T00-00-00_x.json", ["date and time that exist"]), ("0002_module.c", ["does not compile"])])
def test_bad_file_name_is_refused(project, name, words):
    project.write("0001_good", add_field())
    (project.migrations / name).write_text(GOOD)
    three_lines(project.mig("list", code=2), f"migrations/{name}", *words)
    three_lines(project.mig("up", code=2), f"migrations/{name}", *words)


@pytest.mark.parametrize("first, second, version", [("0007_a", "7_b", None), ("0001_a", "0002_b", "1.0")])
def test_two_files_of_one_version_are_refused_and_both_named(project, first, second, version):
    for name in (first, second):
        project.write(name, add_field(**({"version": version} if version else {})))
    three_lines(project.mig("up", code=2), f"{first}.json", f"{second}.json", version or "7")


def test_missing_folder_and_a_file_in_its_place_are_refused(project):
    three_lines(project.mig("up", "--dir", "nowhere", code=2), "nowhere", "mig init")
    (project.folder / "file").write_text("")
    three_lines(project.mig("up", "--dir", "file", code=2), "file is not a folder", "--dir")


def as_nobody(p, *args):
    """Runs mig as a user without rights: root may read and write everything."""
    nobody = pwd.getpwnam("nobody")
    user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run([os.environ["MIG_BIN"], *args], cwd=p.folder, capture_output=True, text=True, timeout=120,
                          env=p.environment(), **user)


@pytest.fixture
def open_project(project):
    """A project in a folder that every user may enter."""
    folder = tempfile.mkdtemp(prefix="migtest")
    os.chmod(folder, 0o755)
    p = Project(project.uri, folder, project.name)
    yield p
    p.client.close()
    shutil.rmtree(folder)


def test_unreadable_file_and_folder_are_named(open_project):
    p = open_project
    path = p.write("0001_secret", GOOD)
    path.chmod(0)
    done = as_nobody(p, "up")
    assert done.returncode in (1, 2) and "0001_secret.json" in done.stderr and "Permission denied" in done.stderr
    three_lines(done, "right")
    p.migrations.chmod(0)
    done = as_nobody(p, "up")
    p.migrations.chmod(0o755)
    assert done.returncode in (1, 2) and "migrations" in done.stderr and "Permission denied" in done.stderr


# ---- what is applied already -------------------------------------------------------------------------------------------

def test_file_modified_after_it_was_applied_stops_everything(project):
    three(project)
    project.mig("up", "--to", "0002_f2")
    project.write("0001_f1", add_field(field="other", version="1.1"))
    before = picture(project)
    for command, code in ((["up"], 6), (["plan"], 6), (["down", "0001_f1"], 6), (["validate"], 6)):
        result = project.mig(*command, code=code)
        three_lines(result)
        assert "0001_f1" in result.out + result.err and "modified after it was applied" in result.out + result.err
    assert "modified" in project.mig("status").out
    assert picture(project) == before


def test_missing_file_of_an_applied_migration_is_found(project):
    three(project)
    project.mig("up")
    (project.migrations / "0003_f3.json").unlink()
    result = project.mig("validate", code=6)
    assert "0003_f3" in result.out and "the file is missing" in result.out
    three_lines(project.mig("down", code=6), "0003_f3", "put the file back", "mig restore ")
    assert "the file is missing" in project.mig("status").out
    project.mig("status", "--exit-code", code=6)


# ---- the store ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def destructive(project):
    add_users(project, 200)
    project.write("0001_cut", {"up": [{"delete": {"collection": "users", "filter": {}}}]})
    project.before = project.digest()
    yield project
    assert project.digest() == project.before, "without a snapshot nothing may be changed"
    assert project.status("0001_cut") in (None, "failed", "pending")
    assert project.status("0001_cut") is None or not project.ledger("0001_cut")["restored"]


def test_store_below_a_file_is_refused(destructive):
    (destructive.folder / "file").write_text("")
    three_lines(destructive.mig("up", "--store", "file/store", code=1), "file/store")
    three_lines(destructive.mig("up", "--store", "file", code=1), "file is not a folder", "choose another")


@pytest.fixture
def mounted(tmp_path):
    """mounted(*mount's arguments) gives a folder; unmounted at the end."""
    target = tmp_path / "mounted"
    target.mkdir()

    def mount(*args):
        done = subprocess.run(["mount", *map(str, args), str(target)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no mount here: {done.stderr.strip()}")
        return target
    yield mount
    subprocess.run(["umount", str(target)], capture_output=True)


def test_read_only_store_is_refused(destructive, mounted):
    store = mounted("-t", "tmpfs", "-o", "ro,size=64m", "none")
    three_lines(destructive.mig("up", "--store", store, code=1), str(store), "Read-only", "choose another")


def test_full_store_is_refused_before_anything_is_written(destructive, mounted):
    store = mounted("-t", "tmpfs", "-o", "size=16k", "none")
    destructive.db.users.insert_many([{"_id": f"x{i}", "pad": os.urandom(1000)} for i in range(200)])
    destructive.before = destructive.digest()
    three_lines(destructive.mig("up", "--store", store, code=1), str(store), "MiB", "--store")
    assert list(store.iterdir()) == []


def test_store_that_fills_while_it_is_written_leaves_no_half_snapshot(destructive):
    destructive.db.users.insert_many([{"_id": f"x{i}", "pad": os.urandom(1000)} for i in range(200)])
    destructive.before = destructive.digest()
    done = subprocess.run([os.environ["MIG_BIN"], "up"], cwd=destructive.folder, capture_output=True, text=True,
                          timeout=120, env=destructive.environment(),
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)))
    assert done.returncode == 1, done
    three_lines(done, "File too large", str(destructive.store))
    assert list(destructive.store.iterdir()) == []


def test_store_without_rights_is_refused(open_project):
    p = open_project
    add_users(p)
    p.write("0001_cut", {"up": [{"delete": {"collection": "users", "filter": {}}}]})
    done = as_nobody(p, "up")  # the folder of the project is not theirs: no store can be made
    assert done.returncode == 1 and "snapshots" in done.stderr and "Permission denied" in done.stderr
    assert p.db.users.count_documents({}) == 5


# ---- the server --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("command", [["up"], ["plan"], ["status"], ["doctor"], ["snapshot", "create"], ["down"]])
def test_no_server_is_told_in_time(project, command):
    with socket.socket() as s:  # a port where surely nobody answers
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    three(project)
    began = time.monotonic()
    result = project.mig(*command, uri=f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=1500", code=1)
    assert time.monotonic() - began < 10
    three_lines(result, f"127.0.0.1:{port}", "running and reachable", "MIG_URI")


def test_silent_server_is_told_in_time(project):
    three(project)
    with socket.create_server(("127.0.0.1", 0)) as s:  # takes connections and never answers
        port = s.getsockname()[1]
        uri = f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=1500&connectTimeoutMS=1000&socketTimeoutMS=1000"
        began = time.monotonic()
        three_lines(project.mig("up", uri=uri, code=1), f"127.0.0.1:{port}")
        assert time.monotonic() - began < 15


@pytest.mark.parametrize("uri", ["nonsense", "http://127.0.0.1/", "mongodb://", "mongodb://h:99999/",
                                 "mongodb://u:hush@@/x"])
def test_connection_string_that_cannot_be_read_is_refused(project, uri):
    three(project)
    result = project.mig("up", uri=uri, code=2)
    three_lines(result, "connection string", "mongodb://")
    assert "hush" not in result.out + result.err


def test_missing_server_and_missing_database_are_refused(project):
    three(project)
    three_lines(project.mig("up", code=2, MIG_URI=""), "no server was named", "MIG_URI")
    three_lines(project.mig("up", code=2, MIG_DB=""), "no database was named", "MIG_DB")


@pytest.mark.parametrize("options", ["readPreference=secondary", "readPreference=nearest&maxStalenessSeconds=90",
                                     "readConcernLevel=linearizable", "w=1&journal=false", "w=0"])
def test_reads_and_writes_are_safe_whatever_the_connection_string_asks_for(project, options):
    three(project)
    uri = project.uri + ("&" if "?" in project.uri else "?") + options
    project.mig("up", uri=uri)
    assert [project.status(f"000{n}_f{n}") for n in (1, 2, 3)] == ["applied"] * 3


@pytest.mark.parametrize("name", ["a.b", "a/b", "a b", "", "x" * 70, "$x"])
def test_bad_database_name_is_refused(project, name):
    three(project)
    three_lines(project.mig("up", f"--db={name}", code=2), "")


def test_failed_run_by_bad_surroundings_is_one_event_at_most(destructive):
    (destructive.folder / "file").write_text("")
    destructive.mig("up", "--store", "file", code=1)
    assert [e["outcome"] for e in events(destructive)] in ([], ["failed"])
    assert not snapshots(destructive) and ours_aside(destructive) == ["users"]

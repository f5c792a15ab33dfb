"""What docs/security.md claims and no other test holds: modes, links, names that bite."""
import os
import resource
import signal
import stat
import subprocess
import time

import pymongo
import pytest

from cli_support import on_terminal, three_lines
from conftest import Result
from wireproxy import HoldReply, Rule, WireProxy, error, reply_with


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def snapshot(p):
    return p.mig("snapshot", "create", "--json").lines[0]


def test_store_and_archives_are_the_owners_alone_whatever_the_umask(project):
    p = project
    p.db.users.insert_one({"_id": 1})
    before = os.umask(0)
    try:
        taken = snapshot(p)
        p.db.users.insert_one({"_id": 2})
        p.mig("restore", taken["snapshot"], "--yes")  # makes a safety snapshot
    finally:
        os.umask(before)
    assert mode(p.store) == 0o700
    files = list(p.store.iterdir())
    assert len(files) >= 2 and {mode(f) for f in files} == {0o600}


def test_an_export_is_the_owners_alone_whatever_the_umask(project):
    p = project
    p.db.users.insert_one({"_id": 1})
    taken = snapshot(p)["snapshot"]
    before = os.umask(0)
    try:
        p.mig("snapshot", "export", taken, "dump")
    finally:
        os.umask(before)
    made = [p.folder / "dump", *(p.folder / "dump").rglob("*")]
    assert {mode(f) for f in made if f.is_dir()} == {0o700} and {mode(f) for f in made if f.is_file()} == {0o600}


def test_links_in_the_store_are_neither_listed_nor_read_nor_swept(project, tmp_path):
    p = project
    p.db.users.insert_one({"_id": 1})
    taken = snapshot(p)
    real, outside = p.store / f"{taken['snapshot']}.mig.tar", tmp_path / "outside.mig.tar"
    outside.write_bytes(real.read_bytes())
    link = p.store / "20200101T000000Z-link-000000.mig.tar"
    link.symlink_to(outside)
    listed = p.mig("snapshot", "list", "--json").out
    assert taken["snapshot"] in listed and "link-000000" not in listed
    for name in (link.name.removesuffix(".mig.tar"), str(link)):
        three_lines(p.mig("restore", name, "--yes", code=None))
        assert p.mig("snapshot", "verify", name, code=None).code != 0
    # what a killed writer seems to have left, but leads elsewhere
    symbolic, hard = (p.store / f"20200101T000000Z-{kind}-000000.mig.tar.partial" for kind in ("soft", "hard"))
    symbolic.symlink_to(outside)
    os.link(outside, hard)
    snapshot(p)
    assert outside.read_bytes() == real.read_bytes()
    assert symbolic.is_symlink() and not hard.exists()  # the name is removed, the file is not


def test_a_store_that_is_a_link_is_resolved_once_and_the_journal_holds_the_real_path(project, tmp_path):
    p = project
    p.db.users.insert_many([{"_id": i} for i in range(9)])
    real = tmp_path / "elsewhere"
    real.mkdir(mode=0o700)
    p.store.symlink_to(real)
    p.write("0001_x", {"up": [{"insert": {"collection": "users", "documents": [{"_id": 77}]}}, {"createCollection": {"collection": "new"}}]})
    p.mig("up")
    assert p.ledger("0001_x")["snapshot"]["path"].startswith(str(real.resolve()))


NAMES = ["a\x1b[2Jb", "bell\x07", "x/../../x", "line\nerror: false", "%2e%2e", "a/b", "ü\u202e", "x" * 60]


@pytest.mark.parametrize("name", NAMES, ids=[repr(n)[1:12] for n in NAMES])
def test_a_collections_name_steers_no_terminal_and_becomes_no_path(project, tmp_path, name):
    p = project
    try:  # by commands: pymongo refuses some of them by itself
        p.db.command({"insert": name, "documents": [{"_id": i} for i in range(3)]})
    except pymongo.errors.PyMongoError as e:
        pytest.skip(f"this server has no such name: {e}")
    around = sorted(x.name for x in tmp_path.parent.iterdir())
    taken = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.db.command({"delete": name, "deletes": [{"q": {"_id": 1}, "limit": 1}]})
    results = [p.mig(*words) for words in (["snapshot", "show", taken], ["snapshot", "list"], ["snapshot", "verify", taken],
                                           ["restore", taken, "--yes"])]
    for r in results:
        said = r.out + r.err
        assert not any(c in said for c in "\x1b\x07\r"), r
        assert not any(line.startswith("error:") for line in said.splitlines()), r
    assert sorted(d["_id"] for d in p.db.command({"find": name})["cursor"]["firstBatch"]) == [0, 1, 2]  # counts may be estimates
    assert sorted(x.name for x in tmp_path.parent.iterdir()) == around
    assert {f.suffix for f in p.store.iterdir()} == {".tar"}


def test_progress_on_a_terminal_is_steered_by_no_name(project):
    p = project
    name = "a\x1b[2Jb\x07"
    p.db[name].insert_many([{"_id": i, "pad": "x" * 500} for i in range(12000)])
    code, out, screen = on_terminal(p, "snapshot", "create", NO_COLOR="1")
    assert code == 0 and "a?[2Jb?" in screen and not any(c in screen + out for c in ("\x1b[2J", "\x07"))


def test_an_error_shows_neither_control_characters_nor_passwords_of_a_hostile_server_text(project):
    """The driver's and the server's words pass through the same door as ours."""
    p = project
    p.db.users.insert_one({"_id": 1})
    p.write("0001_x", {"up": [{"insert": {"collection": "users", "documents": [{"_id": 2}]}}]})
    p.mig("doctor")
    words = "\x1b[31mno\x07\nerror: fine\n at mongodb://ann:hush-hush@h/x\x9b2J"
    with WireProxy(p.uri, [Rule("insert", reply_with(error(8000, words)), collection="users", times=None)]) as proxy:
        result = p.mig("up", uri=proxy.uri, code=None)
    assert result.code in (1, 3)
    three_lines(result)
    assert "hush" not in result.out + result.err and not any(c in result.out + result.err for c in "\x1b\x07\x9b")
    assert "hush" not in str(p.ledger("0001_x"))


def test_the_driver_logs_nothing_whatever_the_environment_asks_for(project):
    """Its log would hold hosts, users and whole commands."""
    p = project
    p.db.users.insert_one({"_id": 1, "mail": "ann@example.org"})
    p.write("0001_x", {"up": [{"update": {"collection": "users", "filter": {"mail": "ann@example.org"}, "update": {"$set": {"a": 1}}}}]})
    log = p.folder / "driver.log"
    result = p.mig("up", MONGODB_LOG_ALL="trace", MONGODB_LOG_PATH=log, MONGODB_LOG_COMMAND="trace", MONGODB_LOG_MAX_DOCUMENT_LENGTH="unlimited")
    assert not log.exists() or log.read_bytes() == b""
    assert "ann@example.org" not in result.out + result.err and "MONGOC" not in result.err


def test_a_value_that_looks_like_an_expression_is_written_as_it_is(project):
    """By the steps, and by a restore that puts it back."""
    p = project
    documents = [{"_id": "$mail", "mail": "$n", "n": 1}, {"_id": "$$ROOT", "mail": "$$ROOT", "n": 2}]
    p.db.users.insert_many(documents)
    p.write("0001_add", {"transaction": "off", "up": [
        {"addField": {"collection": "users", "field": "text", "value": "$mail"}},
        {"addField": {"collection": "users", "field": "whole", "value": {"a": ["$mail", "$$ROOT"]}}},
        {"copyField": {"collection": "users", "from": "mail", "to": "copy"}},
        {"insert": {"collection": "users", "key": ["mail"], "documents": [{"_id": 3, "mail": "$n", "n": 9}]}}]})
    p.mig("up")
    found = list(p.db.users.find().sort("n"))
    assert [d["text"] for d in found[:2]] == ["$mail"] * 2 and [d["copy"] for d in found[:2]] == ["$n", "$$ROOT"]
    assert [d["whole"] for d in found[:2]] == [{"a": ["$mail", "$$ROOT"]}] * 2
    assert len(found) == 2 and found[0]["_id"] == "$mail"  # its key was there
    before = p.digest()
    p.write("0002_fails", {"transaction": "off", "up": [
        {"removeDuplicates": {"collection": "users", "fields": ["text"], "keep": "first"}},
        {"update": {"collection": "users", "filter": {}, "update": {"$set": {"mail": "gone"}}}},
        {"insert": {"collection": "users", "documents": [{"_id": "$$ROOT"}]}}]})
    p.mig("up", code=3)
    assert p.digest() == before


def test_it_runs_with_nearly_nothing_in_its_environment(project):
    """No HOME, no PATH, no locale: nothing is looked for there that matters."""
    p = project
    p.db.users.insert_one({"_id": 1})
    done = subprocess.run([os.environ["MIG_BIN"], "snapshot", "create"], cwd=p.folder, text=True, capture_output=True, timeout=120,
                          env={"MIG_URI": p.uri, "MIG_DB": p.name})
    assert done.returncode == 0, Result(done)


def dies_of(words, when, **options):
    """Killed by SIGSEGV with no limit on cores, once when(process) returns: did the system write a core?"""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2), **options)
    when(process)
    process.send_signal(signal.SIGSEGV)
    status = os.waitpid(process.pid, 0)[1]
    process.returncode = -os.WTERMSIG(status)
    assert os.WTERMSIG(status) == signal.SIGSEGV
    return os.WCOREDUMP(status)


def test_a_crash_leaves_no_core_with_the_password_in_it(project, tmp_path):
    """Its memory and its environment hold the connection string; a core would lie in the project's folder."""
    p = project
    aside = tmp_path / "aside"
    aside.mkdir()
    if not dies_of(["sleep", "60"], lambda process: None, cwd=aside):
        pytest.skip("no core is written on this machine, whatever crashes")
    p.db.users.insert_one({"_id": 1})
    p.write("0001_x", {"transaction": "off", "up": [{"update": {"collection": "users", "filter": {}, "update": {"$set": {"a": 1}}}}]})
    hold = HoldReply()
    with WireProxy(p.uri, [Rule("update", hold, collection="users")]) as proxy:
        env = {**p.environment(proxy.uri), "ASAN_OPTIONS": "handle_segv=0"}
        assert not dies_of([os.environ["MIG_BIN"], "up"], lambda process: hold.reached.wait(60), cwd=p.folder, env=env)
        hold.released.set()
    assert [f.name for f in p.folder.iterdir() if "core" in f.name] == []
    p.mig("recover")
    assert p.status("0001_x") == "failed"


def test_a_program_that_start_becomes_may_leave_its_own_core(project, tmp_path):
    """What keeps our password out of cores is not handed on."""
    if not dies_of(["sleep", "60"], lambda process: None, cwd=tmp_path):
        pytest.skip("no core is written on this machine, whatever crashes")

    def is_sleep(process):
        until = time.monotonic() + 60
        while open(f"/proc/{process.pid}/comm").read().strip() != "sleep":
            assert time.monotonic() < until
            time.sleep(0.05)
    assert dies_of([os.environ["MIG_BIN"], "start", "--", "sleep", "60"], is_sleep, cwd=project.folder, env=project.environment())

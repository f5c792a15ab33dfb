"""mig start: many replicas at once, the two variables, and that the program gets our place with nothing of ours."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from cli_support import DESTRUCTIVE, add_field, add_users, events, fails_late, fields, free, three, three_lines, wait_for
from test_observe import big, metrics

ON = {"MIGRATE_ON_START": "true"}
HARD = {**ON, "MIGRATE_ON_START_FAIL_HARD": "true"}
SAY = ["--", "sh", "-c", "echo started"]


# ---- the two variables ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("value, migrated", [("true", True), ("TRUE", True), ("1", True), ("yes", True), ("on", True), ("false", False),
                                             ("0", False), ("no", False), ("", False), (None, False)])
def test_migrate_on_start_decides_whether_to_migrate(project, value, migrated):
    three(project)
    env = {} if value is None else {"MIGRATE_ON_START": value}
    assert project.mig("start", *SAY, **env).out == "started\n", "standard output is the program's alone"
    assert fields(project) == (["f1", "f2", "f3"] if migrated else [])


def test_without_it_no_server_is_needed(project):
    assert project.mig("start", *SAY, uri="mongodb://127.0.0.1:1/").out == "started\n"


@pytest.mark.parametrize("name", ["MIGRATE_ON_START", "MIGRATE_ON_START_FAIL_HARD"])
def test_word_that_is_neither_true_nor_false_is_refused(project, name):
    three(project)
    result = project.mig("start", *SAY, code=2, **{**ON, name: "maybe"})
    three_lines(result, name, '"maybe"', "true or false")
    assert result.out == "" and fields(project) == []


def test_failure_starts_the_program_all_the_same_and_tells(project):
    three(project)
    project.write("0002_f2", fails_late(transaction="off"))
    result = project.mig("start", *SAY, **ON)
    three_lines(result, "back as it was")
    assert result.out == "started\n" and "FAIL_HARD is not true" in result.err
    assert project.status("0002_f2") == "failed" and project.status("0003_f3") is None and free(project)


def test_fail_hard_does_not_start_the_program(project):
    three(project)
    project.write("0002_f2", fails_late(transaction="off"))
    result = project.mig("start", *SAY, code=3, **HARD)
    three_lines(result, "back as it was")
    assert result.out == ""
    three_lines(project.mig("start", *SAY, code=1, uri="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300", **HARD), "127.0.0.1:1")
    unknown = project.mig("start", *SAY, code=1, uri="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300", **ON)
    assert unknown.out == "" and "127.0.0.1:1" in unknown.err, "nobody knows whether an interrupted run waits there"


def test_data_that_could_not_be_restored_is_always_hard(project):
    """The snapshot is gone when it is needed: nobody has put the data in order, and the program must not run on it."""
    add_users(project)
    project.write("0001_cut", {"up": [DESTRUCTIVE[0]], "transaction": "off"})
    project.mig("up", code=None, MIG_CRASH_AT="step_end")
    kept = next(project.store.glob("*.mig.tar"))
    kept.rename(project.folder / "away")
    result = project.mig("start", *SAY, code=4, **ON)
    assert result.out == ""
    (project.folder / "away").rename(kept)
    assert project.mig("start", *SAY, **ON).out == "started\n" and project.status("0001_cut") == "applied"


def test_interrupted_run_is_settled_first(project):
    add_users(project)
    project.write("0001_f", add_field(field="f1", transaction="off"))
    project.mig("up", code=None, MIG_CRASH_AT="step_end")
    assert project.mig("start", *SAY, **HARD).out == "started\n"
    assert project.status("0001_f") == "applied" and fields(project) == ["f1"]


def half_restored(p, *options, **env):
    """A restore by hand, killed after its first batch: the path of the archive that it needs."""
    p.db.users.insert_many([{"_id": i, "n": 0} for i in range(5000)])
    made = json.loads(p.mig("snapshot", "create", "--json", *options, **env).out.splitlines()[-2])
    p.db.users.update_many({}, {"$set": {"n": 1}})
    p.mig("restore", made["snapshot"], "--yes", code=-signal.SIGKILL, MIG_CRASH_AT="restore_batch", **env)
    assert 0 < p.db.users.count_documents({"n": 1}) < 5000
    return pathlib.Path(made["path"])


def nothing_starts(p, *said, args=(), **env):
    for hard in ("false", "true"):
        result = p.mig("start", *args, *SAY, code=None, MIGRATE_ON_START="true", MIGRATE_ON_START_FAIL_HARD=hard, **env)
        assert result.code in (4, 7) and result.out == "", result
        three_lines(result, "recover", *said)


def test_no_program_starts_on_a_half_done_restore_whose_archive_is_gone(project):
    project.write("0001_f", add_field())
    kept = half_restored(project)
    kept.rename(project.folder / "away")
    nothing_starts(project, kept.name)
    for command in ("recover", "up"):
        three_lines(project.mig(command, code=4), kept.name, "mig recover")
    (project.folder / "away").rename(kept)
    assert project.mig("start", *SAY, **ON).out == "started\n" and project.db.users.count_documents({"n": 1}) == 0


def test_no_program_starts_on_a_half_done_restore_whose_key_is_missing(project):
    key = project.folder / "k"
    key.write_text("ab" * 32 + "\n")
    key.chmod(0o600)
    half_restored(project, MIG_KEY_FILE=key)
    key.rename(project.folder / "away")
    nothing_starts(project, MIG_KEY_FILE=key)
    for command in ("recover", "up"):
        three_lines(project.mig(command, code=7, MIG_KEY_FILE=key), "an interrupted run waits", str(key))
        assert project.mig(command, code=None).code in (4, 7)
    (project.folder / "away").rename(key)
    assert project.mig("start", *SAY, MIG_KEY_FILE=key, **ON).out == "started\n"
    assert project.db.users.count_documents({"n": 1}) == 0


@pytest.mark.parametrize("fault", ["modified", "unparsable", "key", "metadata"])
def test_no_program_starts_on_a_half_done_run_whatever_keeps_it_from_being_settled(project, fault):
    project.db.other.insert_one({"_id": 0})
    project.write("0001_a", add_field("other", "a"))
    project.mig("up")
    project.db.users.insert_many([{"_id": i, "n": 0} for i in range(3000)])
    project.write("0002_one", {"up": [{"update": {"collection": "users", "filter": {}, "update": {"$set": {"n": 1}}}}], "transaction": "off"})
    project.mig("up", code=-signal.SIGKILL, MIG_CRASH_AT="step_batch")
    assert 0 < project.db.users.count_documents({"n": 1}) < 3000
    env, args = {"MIG_KEY_FILE": "/nonexist"} if fault == "key" else {}, ["--meta", "no pair"] if fault == "metadata" else []
    if fault in ("modified", "unparsable"):
        project.write("0001_a", add_field("other", "b") if fault == "modified" else "{")
    nothing_starts(project, "0002_one", args=args, **env)
    assert project.status("0002_one") == "running"
    if fault != "metadata":
        three_lines(project.mig("up", code=7, **env), "0002_one", "mig recover")
    project.mig("recover")
    assert project.db.users.count_documents({"n": 1}) == 0
    assert project.mig("start", *args, *SAY, **ON, **env).out == "started\n", "soft again, once the data is in order"


# ---- many at once -----------------------------------------------------------------------------------------------------------

def start(p, *command, **env):
    """A replica; what its program prints is the number of documents that are migrated when it starts."""
    look = f"import os, pymongo; print(pymongo.MongoClient(os.environ['MIG_URI'])['{p.name}'].users.count_documents({{'n': 2}}))"
    return p.start("start", *command, "--", sys.executable, "-c", look, **{**ON, **env})


def test_eight_at_once_one_migrates_the_rest_wait_and_go_on(project):
    big(project, 24000)
    replicas = [start(project) for _ in range(8)]
    said = [r.communicate(timeout=170) for r in replicas]
    assert [r.returncode for r in replicas] == [0] * 8, said
    assert [out for out, _ in said] == ["24000\n"] * 8, "each started when all was done"
    assert [e["outcome"] for e in events(project)] == ["applied"] and free(project)
    counts = sorted(next(int(line.split()[0]) for line in err.splitlines() if " applied" in line) for _, err in said)
    assert counts == [0] * 7 + [1]
    assert sum("waiting for it" in err for _, err in said) >= 1


def test_failure_of_the_one_is_not_repeated_by_those_who_waited(project):
    big(project, 24000, verify=[{"count": {"collection": "users", "filter": {}, "equals": 1}}])
    project.mig("doctor")
    replicas = [start(project, MIGRATE_ON_START_FAIL_HARD="true") for _ in range(4)]
    said = [r.communicate(timeout=170) for r in replicas]
    assert all(r.returncode == 3 for r in replicas), said
    waited = [err for _, err in said if "waiting for it" in err]
    assert len(waited) >= 1 and all("has failed in another process" in err for err in waited)
    assert len(events(project)) == 4 - len(waited) and project.db.users.count_documents({"n": 0}) == 24000


def test_waiting_is_bounded(project):
    big(project, 24000)
    first = project.start("up")
    wait_for(lambda: project.db.users.find_one({"n": 1}))
    os.kill(first.pid, signal.SIGSTOP)
    before = time.monotonic()
    three_lines(project.mig("start", "--wait", "2", *SAY, code=5, **HARD), "waited in vain", f"process {first.pid}")
    assert 2 <= time.monotonic() - before < 30
    half_done = project.mig("start", "--wait", "1", *SAY, code=5, **ON)
    assert half_done.out == "" and "waited in vain" in half_done.err, "what it writes there may be undone with the rest"
    os.kill(first.pid, signal.SIGCONT)
    first.communicate(timeout=120)
    assert first.returncode == 0


def test_replica_whose_migrating_one_was_killed_takes_over(project):
    big(project, 24000)
    first = project.start("up")
    wait_for(lambda: project.db.users.find_one({"n": 1}))
    second = start(project)
    wait_for(lambda: second.poll() is None)
    first.kill()
    first.communicate()
    out, err = second.communicate(timeout=170)
    assert second.returncode == 0 and out == "24000\n", err


def test_signal_while_migrating_undoes_and_starts_nothing(project):
    big(project, 24000)
    before = project.digest()
    replica = start(project)
    wait_for(lambda: project.db.users.find_one({"n": 1}))
    replica.send_signal(signal.SIGTERM)
    out, err = replica.communicate(timeout=120)
    assert replica.returncode == 130 and out == "", err
    assert project.digest() == before and free(project)


def test_signal_while_waiting_ends_it(project):
    big(project, 24000)
    first = project.start("up")
    wait_for(lambda: project.db.users.find_one({"n": 1}))
    os.kill(first.pid, signal.SIGSTOP)
    second = start(project)
    time.sleep(1.5)
    second.send_signal(signal.SIGTERM)
    out, err = second.communicate(timeout=60)
    os.kill(first.pid, signal.SIGCONT)
    first.communicate(timeout=120)
    assert second.returncode == 130 and out == "", err


# ---- the program ---------------------------------------------------------------------------------------------------------------

def test_program_is_our_process_and_gets_the_signals(project):
    three(project)
    replica = project.start("start", "--", sys.executable, "-c", "import os, signal, time\n"
                            "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'term\\n'), os._exit(42)))\n"
                            "print(os.getpid(), flush=True)\ntime.sleep(60)", **ON)
    assert int(replica.stdout.readline()) == replica.pid
    replica.send_signal(signal.SIGTERM)
    assert replica.stdout.read() == "term\n" and replica.wait(timeout=30) == 42


@pytest.mark.parametrize("ignored", [[], [signal.SIGINT], [signal.SIGTERM, signal.SIGPIPE], [signal.SIGHUP]],
                         ids=["none", "INT", "TERM-PIPE", "HUP"])
def test_program_gets_its_arguments_environment_files_and_signal_dispositions_untouched(project, ignored):
    three(project)
    tell = ("import json, os, sys; print(json.dumps([sys.argv[1:], sorted(os.environ.items()), sorted(os.listdir('/proc/self/fd')),"
            "[l for l in open('/proc/self/status') if l.startswith(('SigBlk', 'SigIgn', 'SigCgt'))]]))")
    arguments = [sys.executable, "-S", "-c", tell, "--json", "--", "a b", "mongodb://u:p@h/"]
    env = {**project.environment(), **ON, "MONGODB_LOG_ALL": "off", "MONGODB_LOG_CONNECTION": "warn", "SOME_SECRET": "x"}

    def run(words):
        done = subprocess.run(words, cwd=project.folder, env=env, capture_output=True, text=True, timeout=120,
                              preexec_fn=lambda: [signal.signal(n, signal.SIG_IGN if n in ignored else signal.SIG_DFL)
                                                  for n in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)])
        assert done.returncode == 0, done
        return json.loads(done.stdout)
    direct, started = run(arguments), run([os.environ["MIG_BIN"], "start", "--", *arguments])
    assert fields(project) == ["f1", "f2", "f3"]
    assert started == direct


def test_misspelt_program_is_found_out_before_anything_is_migrated(project):
    three(project)
    for name in ("no-such-program", "./nothing", "/etc", "./migrations/0001_f1.json"):
        three_lines(project.mig("start", "--", name, code=2, **ON), name, "nothing was migrated")
    assert fields(project) == []
    three_lines(project.mig("start", code=2), "-- CMD")


def test_start_writes_log_and_metrics_too(project):
    three(project)
    path = project.folder / "mig.prom"
    project.mig("start", "--metrics-file", path, "--meta", "pod=7", *SAY, **ON)
    assert metrics(path)['mig_migrations{status="applied"}'] == 3
    assert events(project)[0]["metadata"] == {"pod": "7"}
    assert json.loads((project.folder / "migration-execution.log").read_text().splitlines()[0])["event"] == "begin"

"""What others see of a run: the execution log, the metrics, the progress; and that none of it can harm the run."""
import json
import os
import re
import stat
import subprocess
import time

import pytest

from cli_support import NEVER, add_field, events, fails_late, fields, three
from held import held

LOG = "migration-execution.log"


def lines(p, name=LOG):
    return [json.loads(line) for line in (p.folder / name).read_text().splitlines()]


def big(p, count=60000, **more):
    """A migration that takes some seconds, in batches."""
    for first in range(0, count, 20000):
        p.db.users.insert_many([{"_id": first + i, "n": 0, "pad": "x" * 50} for i in range(min(20000, count - first))])
    step = {"update": {"collection": "users", "filter": {}, "update": {"$inc": {"n": 1}}}}
    p.write("0001_big", {"up": [step, step], "transaction": "off", **more})


# ---- the log -----------------------------------------------------------------------------------------------------------

def test_log_tells_begin_phases_and_end_of_each_attempt(project):
    three(project)
    project.mig("up", "--steps", "1", "--by", "ann", "--meta", "ticket=OPS-1")
    project.write("0002_f2", fails_late(transaction="off", version="1.2"))
    project.mig("up", code=3)
    project.mig("down")
    log = lines(project)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in log)
    assert [line["time"] for line in log] == sorted(line["time"] for line in log)
    first = [line for line in log if line.get("run") == log[0]["run"]]
    assert [(line["event"], line.get("phase")) for line in first] == [("begin", None), ("phase", "snapshot"), ("phase", "steps"), ("end", None)]
    assert first[0]["by"] == "ann" and first[0]["pid"] and first[0]["host"] == os.uname().nodename
    end = first[-1]
    assert end["outcome"] == "applied" and end["documents"] == {"read": 10, "written": 5} and end["metadata"] == {"ticket": "OPS-1"}
    assert set(end["phases"]) == {"validate", "snapshot", "run", "verify", "commit", "restore"} and end["bytes"]["snapshot"] > 0
    failed = [line for line in log if line.get("migration", line.get("name")) == "0002_f2"]
    assert "restoring" in [line.get("phase") for line in failed]
    assert failed[-1]["event"] == "end" and failed[-1]["level"] == "error" and failed[-1]["outcome"] == "restored"
    assert any(line["event"] == "message" and line["level"] == "warning" for line in failed)
    assert [line["direction"] for line in log if line["event"] == "end"] == ["up", "up", "down"]
    assert len([line for line in log if line["event"] == "end"]) == len(events(project))


def test_log_stands_where_it_is_told(project):
    three(project)
    project.mig("up", "--steps", "1", "--log-file", "one.log")
    project.mig("up", "--steps", "1", MIG_LOG_FILE="two.log")
    (project.folder / "mig.json").write_text('{"logFile": "three.log"}')
    project.mig("up")
    assert [lines(project, f)[-1]["name"] for f in ("one.log", "two.log", "three.log")] == ["0001_f1", "0002_f2", "0003_f3"]
    project.mig("down", "--log-file", "none")
    assert not (project.folder / "none").exists() and not (project.folder / LOG).exists()


def test_who_only_looks_leaves_no_log(project):
    three(project)
    for command in (["status"], ["plan"], ["validate"], ["history"], ["list"], ["lock-status"]):
        project.mig(*command)
    assert not (project.folder / LOG).exists()


def test_log_is_rotated_and_no_line_is_lost_or_cut_by_many_writers(project):
    three(project)
    (project.folder / "mig.json").write_text('{"logMaxMiB": 1}')
    project.mig("up")
    for n in range(1, 4):  # three rotations
        with open(project.folder / LOG, "a") as f:
            f.write(json.dumps({"event": "filler", "pad": "x" * (1 << 20)}) + "\n")
        runs = [project.start("redo") for _ in range(4)]
        for r in runs:
            r.communicate(timeout=120)
    files = [f for f in (LOG, LOG + ".1", LOG + ".2", LOG + ".3") if (project.folder / f).exists()]
    assert len(files) == 4
    log = [line for f in files for line in lines(project, f)]  # each line is whole
    ends = [line for line in log if line["event"] == "end"]
    assert {(e["run"], e["outcome"]) for e in ends} == {(e["run"], e["outcome"]) for e in events(project)}
    assert stat.S_IMODE((project.folder / LOG).stat().st_mode) & 0o137 == 0


def test_log_that_cannot_be_written_harms_nothing(project):
    three(project)
    result = project.mig("up", "--steps", "1", "--log-file", "/nowhere/x.log")
    assert "the run goes on without a log" in result.err and "/nowhere/x.log" in result.err
    assert "going on" not in project.mig("up", "--steps", "1", "--log-file", "/dev/full").err
    assert fields(project) == ["f1", "f2"]
    done = subprocess.run([os.environ["MIG_BIN"], "up", "--quiet", "--log-file", "/dev/stderr"], cwd=project.folder, text=True,
                          capture_output=True, env=project.environment(), timeout=60)
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["begin", "phase", "phase", "end"]


def test_verbose_tells_people_the_phases_on_stderr(project):
    three(project)
    result = project.mig("up", "--verbose")
    assert re.search(r"0001_f1: guards took \d+ ms; now snapshot", result.err) and "now steps" in result.err


# ---- metrics -------------------------------------------------------------------------------------------------------------

def metrics(path):
    """Parses the text as a collector would: each sample under its HELP and TYPE."""
    found, typed = {}, {}
    for line in path.read_text().splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in typed
            typed[name] = kind
        elif not line.startswith("# HELP "):
            match = re.fullmatch(r'([a-z_]+)((?:\{[a-z]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z]+="(?:[^"\\\n]|\\[\\"n])*")*\})?) (\S+)', line)
            assert match, line
            base = re.sub(r"_(sum|count)$", "", match[1])
            assert match[1] in typed or base in typed, line
            assert match[1] + match[2] not in found, line
            found[match[1] + match[2]] = float(match[3])
    assert path.read_text().endswith("\n")
    return found


def test_metrics_file_tells_states_runs_phases_and_store(project):
    three(project)
    path = project.folder / "mig.prom"
    project.mig("up", "--steps", "2", "--metrics-file", path)
    project.mig("down")
    project.write("0003_f3", add_field(field="f3", verify=NEVER, version="1.3", transaction="off"))
    project.mig("up", "--metrics-file", path, code=3)
    m = metrics(path)
    assert m['mig_migrations{status="applied"}'] == 2 and m['mig_migrations{status="failed"}'] == 1
    assert m['mig_migrations{status="pending"}'] == 0 and m["mig_up"] == 1 and m["mig_lease_held"] == 0
    assert m['mig_runs_total{direction="up",outcome="applied"}'] == 3 and m['mig_runs_total{direction="up",outcome="restored"}'] == 1
    assert m['mig_runs_total{direction="down",outcome="reverted"}'] == 1
    total = sum(e["duration"] for e in events(project)) / 1000
    assert m["mig_run_duration_seconds_count"] == 5 and abs(m["mig_run_duration_seconds_sum"] - total) < 1e-6
    for phase in ("validate", "snapshot", "run", "verify", "commit", "restore"):
        assert abs(m[f'mig_phase_seconds_total{{phase="{phase}"}}'] - sum(e["phases"][phase] for e in events(project)) / 1000) < 1e-6
    for what in ("read", "written"):
        assert m[f"mig_documents_{what}_total"] == sum(e["documents"][what] for e in events(project)) > 0
    assert m["mig_snapshot_written_bytes_total"] == sum(e["bytes"]["snapshot"] for e in events(project)) > 0
    assert m["mig_snapshots"] == len(list(project.store.glob("*.mig.tar")))
    assert m["mig_snapshot_bytes"] == sum(f.stat().st_size for f in project.store.glob("*.mig.tar"))
    applied = project.ledger("0001_f1")["appliedAt"].timestamp()
    assert abs(m['mig_migration_applied_timestamp_seconds{migration="0001_f1"}'] - applied) < 86400 * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 and [f for f in project.folder.iterdir() if "mig.prom" in f.name] == [path]


def test_metrics_of_an_empty_database_and_of_one_that_does_not_answer(project):
    project.write("0001_f", add_field(field="f1"))
    path = project.folder / "mig.prom"
    project.mig("status", "--metrics-file", path)
    m = metrics(path)
    assert m["mig_up"] == 1 and m['mig_migrations{status="pending"}'] == 1 and m["mig_run_duration_seconds_count"] == 0
    project.mig("status", uri="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300", code=1, MIG_METRICS_FILE=path)
    assert metrics(path)["mig_up"] == 0


def test_metrics_file_that_cannot_be_written_is_a_warning(project):
    three(project)
    result = project.mig("up", "--metrics-file", "/nowhere/mig.prom")
    assert "the metrics could not be written" in result.err and "/nowhere" in result.err


# ---- progress --------------------------------------------------------------------------------------------------------------

def test_status_of_another_process_shows_phase_and_percent_of_a_run(project):
    big(project, 12000)
    with held(project) as run:
        row, out = project.mig("status", "--json").lines[0], project.mig("status").out
    assert run.returncode == 0, run.err
    assert "the lease is held by" in out and f"process {run.pid}" in out
    progress = row["progress"]
    assert row["phase"] == "steps" and 0 < progress["done"] < progress["total"] == 24000
    assert progress["percent"] == int(progress["done"] * 100 / progress["total"]) and f"{progress['percent']}%" in out
    assert "users" in progress["what"]
    assert "%" not in project.mig("status").out
    assert all("warning" not in line for line in run.out.splitlines()), "a run that goes on is no problem"


def test_progress_of_an_overtaken_runner_is_not_written(project):
    """The token decides: whoever has an older one changes nothing."""
    big(project, 30000)
    project.mig("doctor")
    project.db.migrationlocks.insert_one({"_id": "mig.progress", "fence": 10 ** 9, "what": "of a later holder", "phase": "steps", "run": "x"})
    project.mig("up")
    assert project.db.migrationlocks.find_one({"_id": "mig.progress"})["what"] == "of a later holder"


def test_interrupted_run_is_not_shown_as_going_on(project):
    big(project, 3000)
    project.mig("up", code=None, MIG_CRASH_AT="step_batch")
    row = project.mig("status", "--json").lines[0]
    assert row["status"] == "running" and row["going"] is False and "mig recover" in row["problem"] and "progress" not in row
    project.mig("recover")


def test_progress_is_seen_in_a_transaction_too(txn_project):
    """It stands apart from the entry, which the transaction writes: the commit is not disturbed."""
    if txn_project.uri != os.environ.get("MIG_TEST_URI"):
        pytest.skip("the server under test has no transactions, and the second one commits none while anything else is written")
    txn_project.db.users.insert_many([{"_id": i, "n": 0} for i in range(20)])
    step = {"update": {"collection": "users", "filter": {}, "update": {"$inc": {"n": 1}}}}
    txn_project.write("0001_many", {"up": [step] * 10, "transaction": "required"})
    with held(txn_project) as run:
        row = txn_project.mig("status", "--json").lines[0]
    assert run.returncode == 0, run.err
    assert row["phase"] == "steps" and 0 < row["progress"]["percent"] < 100
    assert txn_project.db.users.count_documents({"n": 10}) == 20

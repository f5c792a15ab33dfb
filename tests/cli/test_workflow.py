"""The GitHub workflows: every step of the one for users is executed here, as a runner would, against a real server."""
import base64
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

from cli_support import add_field, add_users, snapshots, three_lines
from module_support import example, module
from test_encryption import keys

REPO = pathlib.Path(__file__).parents[2]
WORKFLOWS = REPO / ".github" / "workflows"
# What only a runner can do, and what stands for it here.
NOT_HERE = {"Build and install": "tests/install builds and installs, and the program under test is on the PATH"}


def load(path):
    return yaml.safe_load(path.read_text())


def run_steps(job):
    return [s for s in load(WORKFLOWS / "migration-ci.yml")["jobs"][job]["steps"] if "run" in s]


class Runner:
    """Runs the steps of a job one after the other, as GitHub does: bash -e -o pipefail, files for what they tell."""

    def __init__(self, p, **env):
        self.p = p
        self.files = {name: p.folder / name.lower() for name in ("GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_OUTPUT")}
        for file in self.files.values():
            file.write_text("")
        self.env = p.environment(MIG_DIR="migrations", MIG_STORE="snapshots", MIG_MODULE_CACHE=p.folder / "cache",
                                 **{k: str(v) for k, v in {**self.files, **env}.items()})
        self.env.setdefault("RUNNER_TEMP", str(p.folder))
        tools = p.folder / "bin"
        tools.mkdir()
        (tools / "mig").symlink_to(os.environ["MIG_BIN"])
        self.env["PATH"] = f"{tools}:{self.env['PATH']}"

    def step(self, step, code=0):
        assert "${{" not in step["run"], "expressions belong into env: here they could be used for injection"
        done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], cwd=self.p.folder,
                              env=self.env, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, f"{step.get('name')}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.env.update(line.split("=", 1) for line in self.files["GITHUB_ENV"].read_text().splitlines())
        return done.stdout + done.stderr

    def job(self, name, **codes):
        """Every step in turn; codes: the exit codes wanted, by the first word of the step's name; stops at the first that fails."""
        said = {}
        for step in run_steps(name):
            word = step["name"].split()[0].strip(",").lower()
            if step.get("if") == "inputs.fixture != ''" and not self.env.get("FIXTURE"):
                continue
            said[word] = self.step(step, codes.get(word, 0))
            if codes.get(word):
                break
        return said


CHECK = {"OUT": "migration-ci", "FIXTURE": ""}


def test_check_goes_up_down_and_up_again(project):
    add_users(project)
    project.write("0001_seen", add_field(description="seen"))
    example(project, "0010_normalise-phones.c")
    before = project.digest("users")
    said = Runner(project, **CHECK).job("check")
    assert set(said) == {"lint", "plan", "up", "down"}
    assert project.status("0001_seen") == project.status("0010_normalise-phones") == "applied"
    out = project.folder / "migration-ci"
    assert {f.name for f in out.iterdir()} >= {"plan.json", "up.json", "down.json", "diff.json", "before"}
    assert "| 0001_seen | users |" in (project.folder / "github_step_summary").read_text()
    assert project.digest("users") != before


def test_check_starts_from_a_snapshot_or_a_script(project):
    add_users(project)
    project.mig("snapshot", "create")
    shutil.copy(snapshots(project)[0], project.folder / "fixture.mig.tar")
    before = project.digest("users")
    project.db.users.drop()
    project.write("0001_seen", add_field(description="seen"))
    said = Runner(project, **{**CHECK, "FIXTURE": "fixture.mig.tar"}).job("check")
    assert "start" in said and project.db.users.count_documents({"seen": True}) == 5
    project.mig("down")
    assert project.digest("users") == before
    (project.folder / "fixture.sh").write_text("touch it-ran\n")
    shutil.rmtree(project.folder / "bin")
    Runner(project, **{**CHECK, "FIXTURE": "fixture.sh"}).step(run_steps("check")[1])
    assert (project.folder / "it-ran").exists()


def test_check_fails_when_down_does_not_give_back_what_was_there(project):
    add_users(project)
    wrong = add_field(description="seen")
    wrong["down"] = [{"update": {"collection": "users", "filter": {"seen": True}, "update": {"$set": {"seen": False}}}}]
    project.write("0001_wrong", wrong)
    said = Runner(project, **CHECK).job("check", down=1)
    assert "::error::up and down together do not give back what was there: users" in said["down"]


def test_check_fails_in_lint_plan_and_up(project):
    add_users(project)
    runner = Runner(project, **CHECK)
    project.write("0001_bad", '{"description": "x", "up": [{"addFeld": {}}]}')
    assert "::error file=" in runner.job("check", lint=6)["lint"]
    project.write("0001_bad", add_field(description="x", guards=[{"collectionAbsent": {"collection": "users"}}]))
    assert "collectionAbsent" in runner.job("check", plan=1)["plan"]
    assert "collectionAbsent" in (project.folder / "github_step_summary").read_text()
    project.write("0001_bad", add_field(description="x", verify=[{"count": {"collection": "users", "filter": {},
                                                                            "equals": 99}}]))
    before = project.digest("users")
    assert "verify count refuses" in runner.job("check", up=1)["up"]
    assert project.digest("users") == before


def test_check_says_what_it_does_not_try(project):
    add_users(project)
    project.write("0001_one-way", {"description": "x", "metadata": {"lint": {"allow": ["no-down", "one-way"]}},
                                   "up": [{"removeField": {"collection": "users", "field": "age"}}]})
    said = Runner(project, **CHECK).job("check")
    assert "::warning::not reversible, so not tried: 0001_one-way" in said["down"]
    assert "::notice::nothing was pending" in Runner.job(_again(project), "check")["down"]


def _again(project):
    shutil.rmtree(project.folder / "bin")
    return Runner(project, **CHECK)


def test_deploy_takes_a_snapshot_and_needs_a_lasting_store(project):
    add_users(project)
    project.write("0001_seen", add_field(description="seen"))
    runner = Runner(project, OUT="migration-deploy")
    runner.job("deploy")
    assert project.status("0001_seen") == "applied" and len(snapshots(project)) == 2
    runner.env["MIG_STORE"] = ""
    assert "::error::deploying needs" in runner.job("deploy", snapshot=1)["snapshot"]


def test_deploy_encrypts_and_signs_with_the_keys_that_are_secrets(project, tmp_path):
    add_users(project)
    project.write("0001_seen", add_field(description="seen"))
    key, (private, public) = os.urandom(32), keys(project, "mine")
    temp = tmp_path / "runner"
    temp.mkdir()
    runner = Runner(project, OUT="migration-deploy", RUNNER_TEMP=temp, KEY=base64.encodebytes(key).decode(), SIGN_KEY=private.read_text())
    assert runner.job("deploy").keys() == {"keys", "snapshot", "remove"}
    assert project.status("0001_seen") == "applied" and list(temp.iterdir()) == []
    mine = project.folder / "mig.key"
    mine.write_bytes(key)
    mine.chmod(0o600)
    made = snapshots(project)
    assert len(made) == 2
    for path in made:
        project.mig("snapshot", "verify", path, "--signer", public, MIG_KEY_FILE=mine)
        three_lines(project.mig("restore", path, "--yes", code=2), "encrypted")


def test_every_step_is_either_run_here_or_said_why_not():
    workflow = load(WORKFLOWS / "migration-ci.yml")
    names = [s["name"] for job in workflow["jobs"] for s in run_steps(job)]
    assert names == ["Lint", "Start from the fixture", "Plan", "Up", "Down, compare, up again", "Keys", "Snapshot, up, verify",
                     "Remove the keys"]
    action = [s for s in load(REPO / "action.yml")["runs"]["steps"] if "run" in s]
    assert [s["name"] for s in action if s["name"] not in NOT_HERE] == ["Start MongoDB"]


def test_action_installs_what_the_build_needs():
    wanted = re.search(r"build_packages\(\) \{\s+apt_need (.*?)\n\}", (REPO / "scripts/lib/build.sh").read_text(), re.S)[1]
    packages = {w for w in re.findall(r"[a-z][a-z0-9+-]+", wanted)} - {"libcmocka-dev"}
    installed = load(REPO / "action.yml")["runs"]["steps"][0]["run"]
    assert packages and all(package in installed for package in packages), packages


def test_action_starts_a_server_and_tells_where_it_is(project, tmp_path):
    """With the servers of this machine in place of Docker."""
    step = next(s for s in load(REPO / "action.yml")["runs"]["steps"] if s["name"] == "Start MongoDB")
    runner = Runner(project, GITHUB_ACTION_PATH=REPO, RUNNER_TEMP=tmp_path)
    runner.env["MIG_URI"] = project.uri  # scripts/server takes a server that is there
    runner.step(step)
    uri = runner.files["GITHUB_OUTPUT"].read_text().strip().removeprefix("uri=")
    assert uri.startswith("mongodb://")
    assert runner.files["GITHUB_ENV"].read_text() == f"MIG_URI={uri}\n"


def test_init_writes_the_very_workflow(project):
    project.mig("init", "--workflow")
    written = project.folder / ".github" / "workflows" / "migration-ci.yml"
    assert written.read_bytes() == (WORKFLOWS / "migration-ci.yml").read_bytes()


def test_workflows_are_free_of_what_actionlint_finds():
    done = subprocess.run([REPO / "scripts" / "actionlint"], capture_output=True, text=True, timeout=600)
    if done.returncode == 3:
        pytest.skip(f"actionlint cannot be built here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_own_ci_runs_the_scripts_against_every_supported_mongodb():
    ci = load(WORKFLOWS / "ci.yml")
    assert ci["jobs"]["mongodb"]["strategy"]["matrix"]["mongo"] == ["4.4", "5.0", "6.0", "7.0", "8.0"]
    for job in ci["jobs"].values():
        for step in job["steps"]:
            for script in re.findall(r"\./(scripts/\S+)", step.get("run", "")):
                assert os.access(REPO / script, os.X_OK), script

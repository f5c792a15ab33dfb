"""What is printed, where settings come from, and that no password is ever shown."""
import json
import os
import subprocess

import pytest

from cli_support import add_field, add_users, fails_late, on_terminal, one, three, three_lines

COMMANDS = [["list"], ["status"], ["plan"], ["up"], ["history"], ["lock-status"], ["validate"], ["snapshot", "create"],
            ["snapshot", "list"], ["down"], ["doctor"], ["version"], ["help"], ["force-unlock", "--confirm"], ["recover"]]


def program(*args, **options):
    return subprocess.run([os.environ["MIG_BIN"], *args], text=True, capture_output=True, timeout=60, **options)


# ---- --json ----------------------------------------------------------------------------------------------------------

def test_json_is_an_object_a_line_and_the_last_has_exit_and_nobody_else(project):
    three(project)
    for command in COMMANDS:
        result = project.mig(*command, "--json")
        lines = [json.loads(line) for line in result.out.splitlines()]
        assert all(isinstance(line, dict) for line in lines), result
        assert [("exit" in line) for line in lines] == [False] * (len(lines) - 1) + [True], (command, result)
        assert lines[-1] == {"exit": 0}


@pytest.mark.parametrize("args, code", [(["up", "--bogus"], 2), (["--bogus", "up"], 2), (["nonsense"], 2), (["run"], 2),
                                        (["up", "--dir", "nowhere"], 2), (["snapshot", "show", "none"], 1),
                                        (["restore", "none"], 2), (["validate", "--dir", "nowhere"], 6)])
def test_json_ends_with_the_exit_code_and_the_error(project, args, code):
    result = project.mig(*args, "--json", code=code)
    last = result.lines[-1]
    assert last["exit"] == code and all(last["error"][k] for k in ("code", "what", "why", "hint")), result
    three_lines(result)


def test_json_of_a_run_tells_what_a_script_needs(project):
    add_users(project)
    project.write("0001_bad", fails_late(transaction="off", version="2.0"))
    result = one(project.mig("up", "--json", code=3))
    assert (result["migration"], result["version"], result["direction"]) == ("0001_bad", "2.0", "up")
    assert result["outcome"] == "restored" and result["transaction"] == "off" and result["error"]["code"] == "restored"
    assert set(result["phases"]) == {"validate", "snapshot", "run", "verify", "commit", "restore"}
    assert project.store / f"{result['snapshot']}.mig.tar" == project.folder / result["snapshotPath"]
    status = project.mig("status", "--json").lines
    assert status[0]["status"] == "failed" and status[0]["restored"] and status[0]["error"]
    assert status[1] == {"applied": 0, "pending": 0, "failed": 1, "reverted": 0, "unfinished": 0,
                         "restoreInterrupted": False}


# ---- commands that only tell ------------------------------------------------------------------------------------------

def test_status_shows_each_state_and_the_totals(project):
    three(project)
    project.mig("up", "--steps", "2")
    project.mig("down")
    out = project.mig("status").out
    for line in ("APPLIED  | 1.1 | 0001_f1 | 2", "REVERTED | 1.2 | 0002_f2 | 2", "PENDING  | 1.3 | 0003_f3 | -"):
        assert line in out
    assert f"1 applied, 1 pending, 0 failed, 1 reverted, 0 unfinished on {project.uri.split('/')[2]}/{project.name}" in out
    project.mig("status", "--exit-code", code=6)
    project.mig("up")
    project.mig("status", "--exit-code")


def test_list_shows_the_files_in_numeric_order_without_a_server(project):
    for name in ("0010_ten", "2_two", "20250122001-day", "0009_nine"):
        project.write(name, add_field(description=f"about {name}"))
    out = project.mig("list", code=0, uri="mongodb://127.0.0.1:1/").out
    assert [line.split()[0] for line in out.splitlines()] == ["2_two", "0009_nine", "0010_ten", "20250122001-day"]
    assert "about 2_two" in out and "reversible" in out


def test_history_is_newest_first_and_pages_and_filters(project):
    three(project)
    project.mig("up", "--by", "alice")
    project.mig("down", "--by", "bob")

    def names(*args):
        return [(e["direction"], e["name"]) for e in project.mig("history", "--json", *args).lines[:-1]]
    everything = [("down", "0003_f3"), ("up", "0003_f3"), ("up", "0002_f2"), ("up", "0001_f1")]
    assert names() == everything
    assert names("--limit", "3", "--page", "2") == everything[3:] and names("--page", "9") == []
    assert names("--status", "reverted") == everything[:1] and names("0001_f1") == everything[3:]
    out = project.mig("history").out
    assert "alice" in out and "bob" in out.splitlines()[0]
    three_lines(project.mig("history", "--limit", "0", code=2), "--limit", '"0"')


def test_validate_says_that_all_is_well(project):
    three(project)
    assert project.mig("validate").out == "3 migrations, no problems\n"
    project.write("0004_no", add_field(guards=[{"collectionExists": {"collection": "elsewhere"}}]))
    three_lines(project.mig("validate", code=6), "elsewhere")


def test_doctor_tries_the_server_and_leaves_nothing(project):
    three(project)
    project.mig("doctor")
    assert not [n for n in project.db.list_collection_names() if n.startswith("migprobe")]
    checks = {line["check"]: line["state"] for line in project.mig("doctor", "--json").lines[:-1]}
    assert checks["connection"] == checks["server"] == checks["store"] == checks["migrations"] == "ok"
    assert checks["transactions"] in ("yes", "no") and "unknown" not in checks.values()
    project.mig("doctor", "--dir", "nowhere", code=6)


def test_version_and_help_need_nothing(tmp_path):
    for args in (["version"], ["--version"]):
        assert program(*args, cwd=tmp_path).stdout.startswith("mig ")
    overview = program("help", cwd=tmp_path).stdout
    assert program(cwd=tmp_path).stdout == program("--help", cwd=tmp_path).stdout == overview
    for command in ("init", "create", "list", "status", "plan", "up", "run", "down", "validate", "history", "restore",
                    "recover", "snapshot create", "snapshot list", "snapshot show", "snapshot verify", "lock-status",
                    "force-unlock", "doctor", "version", "help"):
        assert f"\n  {command} " in overview
        own = program("help", *command.split(), cwd=tmp_path)
        assert own.returncode == 0 and own.stdout.startswith(f"mig {command}")
        assert command == "help" or program(*command.split(), "--help", cwd=tmp_path).stdout == own.stdout
    assert "addField" in program("help", "steps", cwd=tmp_path).stdout
    assert "noDuplicates" in program("help", "guards", cwd=tmp_path).stdout
    assert program("help", "nonsense", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("args, words", [
    (["upp"], ["did you mean `mig up`"]), (["snapshot", "creat"], ["did you mean `mig snapshot create`"]),
    (["up", "--dryrun"], ["did you mean --dry-run"]), (["up", "--yes"], ["does not take --yes"]),
    (["up", "x"], ['"x" is one too many']), (["run"], ["takes NAME"]), (["up", "--steps"], ["--steps needs a value"]),
    (["up", "--steps", "x"], ['"x"']), (["up", "--steps", "1", "--steps", "2"], ["twice"]), (["up", "-z"], ["-z"])])
def test_wrong_words_are_refused_with_the_nearest(project, args, words):
    three_lines(project.mig(*args, code=2), *words)


# ---- init and create ---------------------------------------------------------------------------------------------------

def test_init_makes_a_project_that_works_and_overwrites_nothing(project):
    folder = project.folder / "new"
    folder.mkdir()
    env = {**project.environment(), "MIG_BY": "init"}
    assert program("init", "--workflow", cwd=folder, env=env).returncode == 0
    assert json.loads((folder / "mig.json").read_text())["dir"] == "migrations"
    assert (folder / ".github/workflows/migration-ci.yml").exists() and len(list((folder / "migrations").iterdir())) == 1
    (folder / "mig.json").write_text('{"dir": "migrations"}')
    assert "kept    mig.json" in program("init", cwd=folder, env=env).stdout
    assert (folder / "mig.json").read_text() == '{"dir": "migrations"}'


@pytest.mark.parametrize("users", [0, 5], ids=["empty database", "with users"])
def test_example_of_a_new_project_runs_as_it_is_up_and_down(project, users):
    if users:
        add_users(project, users)
    before = project.digest()
    project.migrations.rmdir()
    made = project.mig("init").out
    assert "mig up" in made and "mig down" in made
    project.mig("lint", "--strict")
    assert "would" in project.mig("plan").out and project.digest() == before
    project.mig("up")
    assert project.db.mig_example.find_one({"_id": "fr"}) == {"_id": "fr", "text": "bonjour", "seen": False}
    assert project.db.mig_example.index_information()["text_1"]["unique"] is True
    project.mig("down")
    assert project.digest() == before
    project.mig("up")
    assert project.db.mig_example.count_documents({}) == 3


@pytest.mark.parametrize("template", ["add-field", "data-transform", "example", "schema-change", "seed-data", "index", "module"])
def test_create_writes_a_file_that_can_be_read(project, template):
    out = project.mig("create", "my-change", "--template", template).out
    assert ("my-change.c" if template == "module" else "my-change.json") in out
    listed = one(project.mig("list", "--json", MIG_MODULE_CACHE=project.folder / "cache"))
    assert listed["migration"].endswith("_my-change") and listed["reversible"]


def test_create_refuses_bad_names_and_templates(project):
    three_lines(project.mig("create", "../x", code=2), "../x", "letters, digits")
    three_lines(project.mig("create", "x", "--template", "nope", code=2), "nope", "add-field")
    assert list(project.migrations.iterdir()) == []


# ---- settings ----------------------------------------------------------------------------------------------------------

def test_options_stand_before_or_after_the_command(project):
    three(project)
    for args in (["up", "--json", "--steps=1"], ["--json", "up", "--steps", "1"], ["--json", "--by", "x", "up"]):
        assert project.mig(*args).lines[-1] == {"exit": 0}
    assert project.status("0003_f3") == "applied"


def test_flag_beats_environment_beats_file_beats_default(project):
    p = project
    for folder in ("migrations", "from_file", "from_env", "from_flag"):
        (p.folder / folder).mkdir(exist_ok=True)
        (p.folder / folder / f"0001_{folder}.json").write_text(json.dumps(add_field()))

    def listed(*args, **env):
        return one(p.mig("list", "--json", *args, **env))["migration"]
    assert listed() == "0001_migrations"
    (p.folder / "mig.json").write_text('{"dir": "from_file"}')
    assert listed() == "0001_from_file"
    assert listed(MIG_DIR="") == "0001_from_file"
    assert listed(MIG_DIR="from_env") == "0001_from_env"
    assert listed("--dir", "from_flag", MIG_DIR="from_env") == "0001_from_flag"


def test_every_setting_can_come_from_the_file_found_by_config(project):
    p = project
    add_users(p)
    p.write("0001_x", add_field())
    (p.folder / "sub").mkdir()
    (p.folder / "sub" / "my.json").write_text(json.dumps(
        {"uri": p.uri, "db": p.name, "dir": "../migrations", "store": "kept", "by": "the file", "leaseMinutes": 3}))
    p.mig("up", "--config", "sub/my.json", MIG_URI="", MIG_DB="")
    assert p.ledger("0001_x")["appliedBy"] == "the file" and list((p.folder / "sub" / "kept").glob("*.mig.tar"))
    p.mig("status", MIG_CONFIG="sub/my.json", MIG_URI="", MIG_DB="")


@pytest.mark.parametrize("text, words", [("{", ["mig.json is not JSON"]), ('{"urii": "x"}', ["urii", 'did you mean "uri"']),
                                         ('{"dir": 5}', ["dir"]), ('{"leaseMinutes": "x"}', ["leaseMinutes"]),
                                         ('{"txnMaxDocuments": -1}', ["txnMaxDocuments"]),
                                         ('{"db": ""}', ['"db"']), ('{"db": "a", "db": "b"}', ['"db"', "twice"]),
                                         ('{"leaseMinutes": 1e15}', ["lease"])])
def test_bad_settings_file_is_refused(project, text, words):
    three(project)
    (project.folder / "mig.json").write_text(text)
    three_lines(project.mig("up", code=2), *words)


def test_an_empty_variable_names_no_settings_file(project):
    (project.folder / "mig.json").write_text(json.dumps({"dir": "mine"}))
    (project.folder / "mine").mkdir()
    project.mig("list", MIG_CONFIG="")
    three_lines(project.mig("list", "--config", "", code=2))


def uri_of(p, database):
    head, _, options = p.uri.partition("?")
    return f"{head.rstrip('/')}/{database}" + (f"?{options}" if options else "")


@pytest.mark.parametrize("near, far", [("--uri", "mig.json"), ("--uri", "MIG_DB"), ("MIG_URI", "mig.json")])
def test_a_nearer_connection_string_of_another_database_is_not_overruled_unseen(project, near, far):
    """Migrating a database that was not meant is the worst: both are named, and nothing is written to either."""
    add_users(project)
    project.write("0001_x", add_field())
    other = project.name + "_other"
    env = {"MIG_URI": "", "MIG_DB": project.name if far == "MIG_DB" else ""}
    if far == "mig.json":
        (project.folder / "mig.json").write_text(json.dumps({"db": project.name}))

    def up(database, *args, code=0, **more):
        where = {"MIG_URI": uri_of(project, database)} if near == "MIG_URI" else {}
        flag = [] if near == "MIG_URI" else ["--uri", uri_of(project, database)]
        return project.mig("up", *flag, *args, code=code, **{**env, **where, **more})
    try:
        for more in ([], ["--dry-run"]):
            three_lines(up(other, *more, code=2), project.name, other, "--db")
        assert project.status("0001_x") is None and other not in project.client.list_database_names()
        up(other, "--db", project.name)
        up(project.name)
        assert project.status("0001_x") == "applied"
    finally:
        project.client.drop_database(other)


def test_missing_settings_file_is_refused_when_it_was_named(project):
    three_lines(project.mig("list", "--config", "nowhere.json", code=2), "nowhere.json")


# ---- terminal ----------------------------------------------------------------------------------------------------------

def test_no_colour_and_no_progress_without_a_terminal(project):
    three(project)
    for command in (["plan"], ["up"], ["status"], ["nonsense"]):
        result = project.mig(*command, code=None)
        assert "\033" not in result.out + result.err and "\r" not in result.out + result.err


def test_colour_on_a_terminal_unless_no_color(project):
    three(project)
    assert "\033[32m" in on_terminal(project, "up", "--steps", "1", stdout_too=True)[2]
    assert "\033[3" not in on_terminal(project, "status", stdout_too=True, NO_COLOR="1")[2]
    assert "\033" not in on_terminal(project, "status")[1], "stdout is a pipe"


def test_progress_on_a_terminal_unless_quiet(project):
    project.db.users.insert_many([{"_id": i, "pad": "x" * 500} for i in range(12000)])
    for n in (1, 2):
        project.write(f"000{n}_f", add_field(field=f"f{n}"))
    code, out, screen = on_terminal(project, "up", "--steps", "1", NO_COLOR="1")
    assert code == 0 and "users" in screen and "\r\033[K" in screen and "0001_f" in out
    # without shared memory: the driver warns, before main(), when a dead process of the same pid left some behind
    code, out, screen = on_terminal(project, "up", "--quiet", NO_COLOR="1", MONGOC_DISABLE_SHM="1")
    assert code == 0 and screen == "" and "0002_f" in out


def test_results_that_cannot_be_written_are_no_success(project):
    three(project)
    with open("/dev/full", "w") as full:
        for command, code in (["list"], 1), (["status", "--json"], 1), (["up"], 0):  # up has changed the database
            done = subprocess.run([os.environ["MIG_BIN"], *command], cwd=project.folder, stdout=full, text=True,
                                  stderr=subprocess.PIPE, env=project.environment(), timeout=60)
            assert done.returncode == code and "could not be written" in done.stderr
    assert project.status("0003_f3") == "applied"

"""Completion and man page: made from the program's tables, and they work in the real shells."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from cli_support import add_field, three

BIN = pathlib.Path(os.environ["MIG_BIN"])


def mig(*args):
    return subprocess.run([BIN, *args], text=True, capture_output=True, check=True, env={}).stdout


def said(done):
    """stderr, but for the driver's warning where an older killed process of this pid left its shared memory."""
    return [line for line in done.stderr.splitlines() if "Falling back to malloc for counters" not in line]


def overview():
    listed = mig("help").split("commands:\n", 1)[1].split("\n\n", 1)[0]
    return [re.match(r"  ([a-z][a-z-]*(?: [a-z][a-z-]*)*)", line.split("  ", 2)[0] or line)[1] for line in listed.splitlines()]


def options_of(text):
    return set(re.findall(r"^  --([a-z-]+)", text, re.M))


@pytest.fixture
def at(project):
    """A project with three migrations; mig on PATH, no server needed."""
    three(project)
    return {**project.environment("mongodb://127.0.0.1:1/"), "PATH": f"{BIN.parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
            "HOME": str(project.folder)}, project.folder


def need(shell):
    return shutil.which(shell) or pytest.skip(f"{shell} is not installed (scripts/test installs it)")


# ---- bash ----------------------------------------------------------------------------------------------------------------

def bash(at, *words):
    """What TAB behind the words offers: the function called as bash calls it."""
    split = [w for word in words for w in re.split(r"(=)", word)] if any("=" in w for w in words) else list(words)
    if words and words[-1] != "":
        split = [w for w in split if w != ""] or split
    quoted = " ".join("'" + w + "'" for w in split)
    script = (f"source <(mig completion bash); COMP_WORDS=(mig {quoted}); COMP_CWORD={len(split)}; _mig; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    env, folder = at
    done = subprocess.run(["bash", "--norc", "-c", script], env=env, cwd=folder, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0 and not said(done), done
    return done.stdout.split()


def test_bash_offers_every_command_and_alias(at):
    assert set(bash(at, "")) == {c.split()[0] for c in overview()}
    assert bash(at, "ro") == ["rollback"] and bash(at, "migr") == ["migrate"]
    assert set(bash(at, "snapshot", "")) == {c.split()[1] for c in overview() if c.startswith("snapshot ")}


def test_bash_offers_just_the_options_that_a_command_takes(at):
    for command in overview():
        if command in ("help", "completion"):
            continue
        wanted = options_of(mig("help", *command.split()))
        assert {o[2:] for o in bash(at, *command.split(), "--")} == wanted, command
    assert "--batch" in bash(at, "--db", "up", "down", "--b"), "the value of --db is no command"
    assert "--batch" in bash(at, "--db=up", "down", "--b")


def test_bash_offers_values_and_names(at):
    names = ["0001_f1", "0002_f2", "0003_f3"]
    assert bash(at, "run", "") == names and bash(at, "down", "0002") == ["0002_f2"] and bash(at, "up", "--to", "") == names
    assert bash(at, "up", "--to=", ) == names
    assert bash(at, "restore", "--strategy", "") == ["delta", "swap"] and bash(at, "completion", "z") == ["zsh"]
    assert bash(at, "up", "--dir", "mi") == ["migrations"] and "seed-data" in bash(at, "create", "x", "--template", "s")
    assert bash(at, "create", "") == [] and bash(at, "up", "--steps", "") == []


def type_tab(at, shell, arguments, setup, line, completed):
    """Starts the shell on a terminal of its own, types the line and TAB, and returns the screen."""
    env, folder = at
    ours, theirs = pty.openpty()
    process = subprocess.Popen([shell, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, start_new_session=True,
                               env={**env, "TERM": "dumb", "PS1": "> ", "COLUMNS": "200"})
    os.close(theirs)
    screen = b""

    def read_until(word, seconds):
        nonlocal screen
        until = time.monotonic() + seconds
        while time.monotonic() < until and word not in screen:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    screen += os.read(ours, 65536)
                except OSError:
                    return
    os.write(ours, f"{setup}; echo rea''dy\n".encode())
    read_until(b"\nready", 30)
    time.sleep(0.5)
    screen = b""
    os.write(ours, line.encode() + b"\t")
    read_until(completed.encode(), 10)
    process.kill()
    process.wait()
    os.close(ours)
    assert completed in screen.decode(errors="replace").replace("\r", "").replace("\x07", ""), screen


def test_bash_completes_on_a_terminal(at):
    type_tab(at, "bash", ["--norc", "-i"], "source <(mig completion bash)", "mig down --ba", "mig down --batch")
    type_tab(at, "bash", ["--norc", "-i"], "source <(mig completion bash)", "mig run 0002", "mig run 0002_f2")


def test_bash_script_is_clean(tmp_path):
    (tmp_path / "mig.bash").write_text(mig("completion", "bash"))
    done = subprocess.run([need("shellcheck"), "-s", "bash", tmp_path / "mig.bash"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# ---- zsh and fish ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("typed, completed", [("mig rollb", "rollback"), ("mig down --ba", "--batch"), ("mig run 0002", "0002_f2"),
                                              ("mig snapshot ver", "verify"), ("mig restore --strategy sw", "swap"),
                                              ("mig --db up down --ba", "--batch")])
def test_zsh_completes_on_a_terminal(at, typed, completed):
    zsh = need("zsh")
    type_tab(at, zsh, ["-f", "-i"], "PS1='> '; autoload -U compinit; compinit -u -D; source <(mig completion zsh)", typed, completed)


def fish(at, line):
    env, folder = at
    done = subprocess.run([need("fish"), "--no-config", "-c", f"mig completion fish | source; complete -C '{line}'"], env=env,
                          cwd=folder, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0 and not said(done), done
    return [row.split("\t")[0] for row in done.stdout.splitlines()]


def test_fish_completes(at):
    assert set(fish(at, "mig ")) == {c.split()[0] for c in overview()}
    assert set(fish(at, "mig snapshot ")) == {c.split()[1] for c in overview() if c.startswith("snapshot ")}
    assert fish(at, "mig run ") == ["0001_f1", "0002_f2", "0003_f3"]
    assert fish(at, "mig restore --strategy ") == ["delta", "swap"]
    for command in ("up", "down", "snapshot create", "history", "--db up down"):
        wanted = options_of(mig("help", *command.replace("--db up ", "").split()))
        assert {o[2:] for o in fish(at, f"mig {command} --")} == wanted, command


# ---- man page --------------------------------------------------------------------------------------------------------------

def rendered(page):
    done = subprocess.run([need("groff"), "-man", "-ww", "-Tascii", "-P-cbou", "-rLL=300n"], input=page, text=True, capture_output=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def test_man_page_has_every_command_option_and_exit_code_of_the_tables():
    page = rendered(mig("help", "man"))
    for section in ("NAME", "SYNOPSIS", "OPTIONS", "COMMANDS", "EXIT STATUS", "FILES"):
        assert f"\n{section}\n" in page
    sections = re.split(r"\n   mig ", "\n" + page.split("\nCOMMANDS\n")[1].split("\nEXIT STATUS\n")[0])[1:]
    aliases = [c for c in overview() if "the same as" in next(l for l in mig("help").splitlines() if l.startswith(f"  {c} "))]
    found = {}
    for text in sections:
        first, rest = text.split("\n", 1)
        found[re.match(r"[a-z][a-z-]*(?: [a-z][a-z-]*)*", first)[0]] = set(re.findall(r"^ +--([a-z-]+)", rest, re.M))
    for command in overview():
        if command in aliases:
            assert f"The same as mig {command}." in page
            continue
        name = next(n for n in (command, command.split()[0]) if n in found)
        general = options_of(mig("help").split("general options:")[1])
        assert found[name] == options_of(mig("help", *name.split())) - general, command
    assert set(re.findall(r"^ +--([a-z-]+)", page.split("\nOPTIONS\n")[1].split("\nCOMMANDS\n")[0], re.M)) == general
    codes = re.findall(r"^ {7}(\d+) ", page.split("\nEXIT STATUS\n")[1].split("\nFILES\n")[0], re.M)
    assert codes == ["0", "1", "2", "3", "4", "5", "6", "7", "130"]


def test_what_the_build_installs_is_what_the_program_says():
    made = pathlib.Path(os.environ.get("MIG_BUILD_DIR", BIN.parent)) / "generated"
    if not made.is_dir():
        pytest.skip(f"{made} is not there: MIG_BIN is not in a build folder")
    for name, command in {"mig.1": ["help", "man"], "mig.bash": ["completion", "bash"], "mig.zsh": ["completion", "zsh"],
                          "mig.fish": ["completion", "fish"]}.items():
        assert (made / name).read_text() == mig(*command)

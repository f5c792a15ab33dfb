"""Every command in the documentation is executed, in the order of the page, and what the page shows is compared.

Of each page the fenced blocks are taken: `sh` (run as it is) and `console` (lines with `$ ` are run one by one, the lines
below each are what it must print). In what is shown `...` stands for anything within a line, and alone in a line for any
lines; `(exit 3)` for an exit code other than 0. A page is run in one scratch project with a database of its own:
mongodb://127.0.0.1:27017/app stands for it (.../green for a second), SNAPSHOT for the newest that was taken by hand, else by a run,
SNAPSHOT2 for the oldest; `test` is another database, and ssh comes back to this machine. What cannot be run here, and files that the
commands need, are marked in comments above the block:

    <!-- not run: REASON -->     counted and shown     <!-- file: migrations/0001_x.json -->     the block becomes that file
    <!-- fresh project -->       begins anew
    <!-- setup                   commands that a reader has behind him, run and not shown, up to
    ...                          the end of the comment
    -->
"""
import os
import pathlib
import re
import secrets
import subprocess
import textwrap

import pytest

import conftest

REPO = pathlib.Path(__file__).parents[2]
PAGES = sorted([REPO / "README.md", REPO / "CONTRIBUTING.md", *(REPO / "docs").glob("*.md")])
FENCE = re.compile(r"^(?P<marks>(?:[ ]*<!-- [^\n]+ -->\n+)*)(?P<indent>[ ]*)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```$"
                   r"|^<!-- (?P<hidden>setup)\n(?P<before>.*?)^-->$", re.S | re.M)
RUN = {"sh", "console", "setup"}
SHOWN = {"", "json", "text", "c", "js", "dockerfile", "yaml", "python"}  # python: test_encryption.py runs it
URI = "mongodb://127.0.0.1:27017/app"
GREEN = "mongodb://127.0.0.1:27017/green"
MOST_NOT_RUN = 16  # of all pages: more needs a good reason

PRELUDE = """
set -eo pipefail
newest_snapshot() {
  local found
  found=$(ls -t snapshots/*-manual-*.mig.tar 2>/dev/null | head -1)
  [ -n "$found" ] || found=$(ls -t snapshots/*.mig.tar | grep -v -e -displaced- -e -safety- | head -1)
  basename "$found" .mig.tar
}
ssh() { shift; bash -c "$*"; }
other_snapshot() { basename "$(ls -t snapshots/*.mig.tar | grep -v -e -displaced- -e -safety- | tail -1)" .mig.tar; }
[ -f "$DOCS_STATE" ] && . "$DOCS_STATE"
"""
KEEP = '\nexport -p >"$DOCS_STATE"; alias -p >>"$DOCS_STATE" || true\n'


class Block:
    def __init__(self, page, match):
        marks = match["marks"] or ""
        self.page, self.kind = page, match["kind"] or match["hidden"]
        self.text = textwrap.dedent(match["text"] or match["before"] or "")
        self.line = page.read_text()[: match.end()].count("\n") - self.text.count("\n")
        self.not_run = (re.search(r"<!-- not run: (.+?) -->", marks) or [None, None])[1]
        self.file = (re.search(r"<!-- file: (\S+) -->", marks) or [None, None])[1]
        self.fresh = "<!-- fresh project -->" in marks

    @property
    def place(self):
        return f"{self.page.relative_to(REPO)}:{self.line}"


def blocks_of(page):
    return [b for b in (Block(page, m) for m in FENCE.finditer(page.read_text())) if b.kind in RUN or b.file]


class Scratch:
    """The project and database that a page's commands are run in."""

    def __init__(self, folder):
        self.project = conftest.Project(conftest.server_uri("MIG_TEST_URI"), folder, "app_" + secrets.token_hex(3))
        base, _, query = self.project.uri.partition("?")
        self.uri = f"{base.rstrip('/')}/{self.project.name}" + (f"?{query}" if query else "")
        self.green = self.uri.replace(f"/{self.project.name}", f"/{self.project.name}_green")
        tools = folder / ".tools"
        tools.mkdir()
        (tools / "mig").symlink_to(os.environ["MIG_BIN"])
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MIG_")}
        self.env.update(PATH=f"{tools}:{REPO / 'scripts'}:{self.env['PATH']}", DOCS_STATE=str(folder / ".state"), MIG_URI=self.uri,
                        MIG_MODULE_CACHE=str(folder / ".modules"), HOME=str(folder), PAGER="cat")

    def run(self, commands, place):
        name = self.project.name
        filled = re.sub(r"\bSNAPSHOT\b", "$(newest_snapshot)", commands.replace(URI, self.uri).replace(GREEN, self.green))
        filled = re.sub(r"\b(app|test)\.(users|orders)", lambda m: (name if m[1] == "app" else f"{name}_test") + "." + m[2], filled)
        filled = filled.replace("--db test", f"--db {name}_test")
        filled = re.sub(r"\bSNAPSHOT2\b", "$(other_snapshot)", filled)
        done = subprocess.run(["bash", "-c", PRELUDE + filled + KEEP], cwd=self.project.folder, env=self.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        # a program that was killed may leave the driver's counters behind for whoever gets its number: see engine/cli/main
        done.stdout = re.sub(r"^.*mongoc: Falling back to malloc for counters.*\n", "", done.stdout, flags=re.M)
        return done.returncode, done.stdout, f"{place}: {commands.strip()}\nexit {done.returncode}\n{done.stdout}"

    def close(self):
        for other in ("test", "green"):
            self.project.client.drop_database(f"{self.project.name}_{other}")
        self.project.close()


def shown_as_regex(lines):
    out = []
    for line in lines:
        if line.strip() == "...":
            out.append(r"(?:.*\n)*?")
        else:
            out.append(r"\s*" + r".*?".join(re.escape(part) for part in line.strip().split("...")) + r"[^\S\n]*\n")
    return "".join(out)


def check_console(scratch, block):
    commands = re.split(r"^\$ ", block.text, flags=re.M)
    assert not commands[0].strip(), f"{block.place}: a console block begins with a command"
    for part in commands[1:]:
        lines = part.rstrip("\n").split("\n")
        command = [lines.pop(0)]
        while command[-1].endswith("\\") or ("<<" in command[0] and command[-1] != "EOF"):
            command.append(lines.pop(0).removeprefix("> "))
        wanted = 0
        if lines and (match := re.fullmatch(r"\(exit (\d+)\)", lines[-1])):
            wanted = int(match[1])
            lines.pop()
        code, out, shown = scratch.run("\n".join(command), block.place)
        assert code == wanted, f"wanted exit {wanted}\n{shown}"
        pattern = shown_as_regex([line for line in lines if line.strip()])
        text = "\n".join(line for line in out.split("\n") if line.strip()) + "\n"
        assert not lines or re.fullmatch(pattern, text), f"the page shows\n{chr(10).join(lines)}\n--- but this was printed\n{shown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_of_the_page_do_what_it_says(page, tmp_path):
    blocks = blocks_of(page)
    if not any(b.kind in ("sh", "console") and not b.not_run for b in blocks):
        return  # nothing to run; what is marked is counted below
    scratch, projects = None, []
    try:
        for block in blocks:
            if block.not_run:
                continue
            if scratch is None or block.fresh:
                folder = tmp_path / str(len(projects))
                folder.mkdir()
                scratch = Scratch(folder)
                projects.append(scratch)
            if block.file:
                path = scratch.project.folder / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)
            elif block.kind == "console":
                check_console(scratch, block)
            else:
                code, _, shown = scratch.run(block.text, block.place)
                assert code == 0, shown
    finally:
        for s in projects:
            s.close()


def test_what_is_not_run_is_counted_and_says_why(record_property, capsys):
    left = [(b.place, b.not_run) for page in PAGES for b in blocks_of(page) if b.not_run]
    ran = sum(len(blocks_of(page)) for page in PAGES) - len(left)
    with capsys.disabled():
        print(f"\ndocumentation: {ran} blocks run, {len(left)} not:", *(f"\n  {place}: {why}" for place, why in left))
    assert ran >= 40 and len(left) <= MOST_NOT_RUN, left
    assert all(len(why) > 10 for _, why in left)


@pytest.mark.parametrize("text", [
    "```sh\nmig status && false\n```\n",
    "```console\n$ mig status\nall is well\n```\n",
    "```console\n$ mig status\n...\n(exit 3)\n```\n",
    "```console\n$ mig nonsense\n...\n```\n",
])
def test_a_page_that_is_wrong_is_found(text, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(text)
    monkeypatch.setattr("test_docs_commands.REPO", tmp_path)
    with pytest.raises(AssertionError):
        test_commands_of_the_page_do_what_it_says(page, tmp_path)


def test_every_fence_is_of_a_kind_that_is_run_or_only_shown():
    for page in PAGES:
        text = page.read_text()
        opened = re.findall(r"^[ ]*```(\w*)[^\n]*\n.*?^[ ]*```$", text, re.S | re.M)
        assert set(opened) <= RUN | SHOWN, f"{page.name}: {set(opened) - RUN - SHOWN}"
        assert len(opened) == len([m for m in FENCE.finditer(text) if m["kind"] is not None]), f"{page.name}: a fence is not read"


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith(("http:", "https:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_tests_that_pages_name_are_there():
    tests = [p for p in (REPO / "tests").rglob("*") if p.suffix in (".py", ".c")]
    known = {name for p in tests for name in re.findall(r"\btest_\w+", p.read_text())} | {p.stem for p in tests}
    for page in PAGES:
        for name in re.findall(r"`(test_\w+|tests/[\w./-]+)(?:::(?:test_\w+))?`", page.read_text()):
            assert name in known if name.startswith("test_") else (REPO / name).exists(), f"{page.name} names {name}, which is not there"

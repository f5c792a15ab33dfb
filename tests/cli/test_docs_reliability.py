"""What docs/reliability.md and docs/security.md name is there: points, tests, commands; and the points are those of the code."""
import json
import pathlib
import re
import subprocess
import sys

import pytest

REPO = pathlib.Path(__file__).parents[2]
TESTS = REPO / "tests"
SCRIPT = REPO / "scripts" / "reliability"
RELIABILITY = (REPO / "docs" / "reliability.md").read_text()
SECURITY = (REPO / "docs" / "security.md").read_text()
POINTS = ["crash", "network", "disk", "archives", "fuzz", "torture", "races", "security"]

sys.path.insert(0, str(REPO / "scripts" / "reliability.d"))
import tables  # noqa: E402


def test_the_table_of_crash_points_is_that_of_the_code():
    block = re.search(r"<!-- counts: crash -->\n(.*?)<!-- end -->", RELIABILITY, re.S)[1]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| ([\d,]+) \|$", block, re.M)
    in_code = re.findall(r'^  X\(\w+, "(\w+)",', (REPO / "engine" / "base" / "crash.h").read_text(), re.M)
    assert len(in_code) > 25 and [r[0] for r in rows] == in_code
    assert [(name, when) for name, when, _ in rows] == tables.crash_points()


def test_counts_become_tables_that_leave_no_point_out():
    facts = type("Facts", (), {"date": "D", "commit": "C", "server": "S", "seconds": 0})
    text = tables.render("crash", {"up killed at step_end": 3, "up killed at (from outside)": 1000}, facts)
    assert "1,003 kills" in text and "| `step_end` | a step has run | 3 |" in text and "| up | 1,003 |" in text
    assert text.count("\n| `") == len(tables.crash_points())
    assert "| a call fails | 1,234 |" in tables.render("disk", {"a call fails": 1234}, facts)


def test_a_run_of_everything_gives_a_table_for_each_point(tmp_path):
    rows = [{"file": f, "what": "up killed at step_end" if p == "crash" else p, "n": 7} for p, f in tables.COUNTED_BY.items()]
    assert all((TESTS / "faults" / f).exists() for f in tables.COUNTED_BY.values())
    (tmp_path / "counts").write_text("".join(json.dumps(r) + "\n" for r in rows))
    said = subprocess.run([sys.executable, tables.__file__, "--server", "S", "--commit", "abc1234", "all", tmp_path / "counts"], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert re.findall(r"^(\w+): Run of \d{4}-\d\d-\d\d, commit `abc1234`, S", said.stdout, re.M) and "**7 kills**" in said.stdout
    assert [w for w in POINTS if f"\n{w}: " in said.stdout] == [p for p in POINTS if p in tables.COUNTED_BY]


def names(page):
    """(file, test or None) of every `file: test, test` in a page."""
    for inline in re.findall(r"`((?:faults|cli|server|unit|integration|fuzz|golden|harness)/[^`]+)`", page):
        file, _, tests = inline.partition(": ")
        for test in tests.split(", ") if tests else [None]:
            yield file, test


@pytest.mark.parametrize("page", [SECURITY, RELIABILITY], ids=["security", "reliability"])
def test_every_test_that_a_page_names_is_there(page):
    found = list(names(page))
    assert len(found) > 8
    for file, test in found:
        path = TESTS / file
        assert path.exists(), file
        if test:
            assert re.search(rf"^(?:def |static void ){re.escape(test)}\(", path.read_text(), re.M), f"{file} has no {test}"


def test_every_rule_of_the_security_page_names_a_test():
    rows = [r for r in re.findall(r"^\|(.+)\|(.+)\|(.+)\|$", SECURITY, re.M) if set(r[0]) != {"-"}][1:]
    assert len(rows) > 20
    for surface, _, held in rows:
        assert list(names(held)), f"nothing holds: {surface}"
    for asked in ("file modes", "symbolic links", "hard links", "time of check", "core", "secrets", "injection", "integer overflow", "stack depth",
                  "environment of child", "temporary files"):
        assert any(asked in r[0].lower() for r in rows), asked


@pytest.mark.parametrize("point", POINTS)
def test_every_point_is_run_by_one_command(point):
    assert f"`scripts/reliability {point}`" in RELIABILITY and f"<!-- counts: {point} -->" in RELIABILITY
    listed = subprocess.run([SCRIPT, "--list", point], capture_output=True, text=True, timeout=60)
    assert listed.returncode == 0, listed.stderr
    files = listed.stdout.split()
    assert files and all((TESTS / f).exists() for f in files), files


def test_an_unknown_point_is_refused():
    for words in (["nonsense"], ["--nonsense", "crash"], []):
        assert subprocess.run([SCRIPT, *words], capture_output=True, timeout=60).returncode == 2

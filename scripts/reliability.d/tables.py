"""tables.py - tables of what a long run counted, for docs/reliability.md

    tables.py [--write] [--uri URI] [--seconds N] [--date D --commit C --server S] POINT|all FILE

FILE: JSON lines of tests/harness/counts.py and scripts/fuzz. --write: in the place between `<!-- counts: POINT -->` and
`<!-- end -->`; without it to stdout. The crash points come from their table, engine/base/crash.h. `all`: what a run of
everything (scripts/test --long) counted, one table for each point that has counts.
"""
import argparse
import collections
import datetime
import json
import pathlib
import re
import subprocess

REPO = pathlib.Path(__file__).resolve().parents[2]
PAGE = REPO / "docs" / "reliability.md"
COUNTED_BY = {"crash": "test_crash_matrix.py", "disk": "test_disk.py", "archives": "test_hostile_archives.py", "fuzz": "",
              "torture": "test_torture.py", "races": "test_races.py"}


def crash_points():
    """[(name, when it dies)] of the table in the code."""
    text = (REPO / "engine" / "base" / "crash.h").read_text()
    return re.findall(r'^  X\([A-Z_]+, "([a-z_]+)", "([^"]+)"\)', text, re.M)


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *("| " + " | ".join(map(str, r)) + " |" for r in rows)])


def number(n):
    return f"{n:,}"


def crash(found):
    points, commands = collections.Counter(), collections.Counter()
    for what, n in found.items():
        if match := re.match(r"(\w+) killed at (.+)", what):
            commands[match[1].replace("_", " ")] += n
            points[match[2]] += n
    rows = [[f"`{name}`", when, number(points.pop(name, 0))] for name, when in crash_points()]
    rows += [["", name.strip("()"), number(n)] for name, n in sorted(points.items())]
    return (table(["point", "the process dies when", "kills"], rows) + "\n\n" +
            table(["command", "kills"], [[name, number(n)] for name, n in sorted(commands.items())]))


def render(point, found, facts):
    total = sum(found.values())
    head = f"Run of {facts.date}, commit `{facts.commit}`, {facts.server}" + (f", {number(facts.seconds // 60)} minutes" if facts.seconds else "")
    if point == "crash":
        kills = sum(n for what, n in found.items() if " killed at " in what)
        return f"{head}: **{number(kills)} kills**, each recovered to \"before\" or \"after\".\n\n{crash(found)}"
    if not found:
        return f"{head}: passed; nothing to count."
    return f"{head}: {number(total)} in all, none failed.\n\n" + table(["what", "times"], [[w, number(n)] for w, n in sorted(found.items())])


def server_name(uri):
    if not uri:
        return "no server"
    import pymongo
    info = pymongo.MongoClient(uri, serverSelectionTimeoutMS=10000).admin.command("buildInfo")
    return f"FerretDB {info['ferretdb']['version']}" if "ferretdb" in info else f"mongod {info['version']}"


def git(*words):
    return subprocess.run(["git", "-C", REPO, *words], check=True, capture_output=True, text=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser()
    for name in ("--uri", "--date", "--commit", "--server"):
        parser.add_argument(name, default="")
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--failed", action="store_true")
    parser.add_argument("point")
    parser.add_argument("file", type=pathlib.Path)
    facts = parser.parse_args()
    facts.date = facts.date or datetime.date.today().isoformat()
    changed = git("status", "--porcelain", "-uno", "--", ":(top)", ":(top,exclude)docs/reliability.md")  # the page itself is no change
    facts.commit = facts.commit or git("rev-parse", "--short", "HEAD") + (" and changes" if changed else "")
    facts.server = facts.server or server_name(facts.uri)
    rows = [json.loads(line) for line in facts.file.read_text().splitlines()]
    for point in COUNTED_BY if facts.point == "all" else [facts.point]:
        found = collections.Counter()
        for row in rows:
            if facts.point != "all" or row.get("file", "") == COUNTED_BY[point]:
                found[row["what"]] += row["n"]
        if facts.point == "all" and not found:
            continue
        text = f"commit `{facts.commit}`, {facts.server}: FAILED, see above" if facts.failed else render(point, found, facts)
        if facts.write:
            write(point, text)
        else:
            print(f"\n{point}: {text}" if facts.point == "all" else text)


def write(point, text):
    page = PAGE.read_text()
    block = re.compile(rf"(<!-- counts: {point} -->\n).*?(<!-- end -->)", re.S)
    assert block.search(page), f"{PAGE} has no place for the counts of {point}"
    PAGE.write_text(block.sub(lambda m: f"{m[1]}{text}\n{m[2]}", page))


if __name__ == "__main__":
    main()

"""What scripts/bench --write puts into docs/performance.md, between `<!-- bench: SERVER SIZE -->` and `<!-- end -->`."""
import pathlib
import re

import measure

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "performance.md"


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *("| " + " | ".join(map(str, r)) + " |" for r in rows)])


def verdict(goal):
    text = f"{goal.value:.2f} {goal.unit}".strip()
    return text if goal.most is None or goal.value <= goal.most else f"**{text}**"


def columns(results):
    """{shape or "": [result]}, in the order they were measured."""
    found = {}
    for r in results:
        found.setdefault(r["shape"], []).append(r)
    return found


def goals(by_column):
    """A row for each measure; which mongorestore was the best one is no part of its name."""
    rows = {}
    for column, results in by_column.items():
        for r in results:
            for g in r["goals"]:
                name = re.sub(r"mongorestore, \d+ workers?", "mongorestore", g.what)
                name = name if name.startswith(r["part"]) or not column else f"{r['part']}: {name}"
                row = rows.setdefault(name, {"goal": "" if g.most is None else f"<= {g.most}"})
                row[column] = verdict(g)
    return [[name, row["goal"], *(row.get(c, "") for c in by_column)] for name, row in rows.items()]


def times(by_column):
    rows = {}
    for column, results in by_column.items():
        for r in results:
            for who, runs in r["runs"].items():
                server = measure.median(runs, "server")
                cell = f"{measure.median(runs, 'wall'):.2f} s, {measure.median(runs, 'cpu'):.2f}" + (f" + {server:.2f}" if server else "")
                rows.setdefault(f"{r['part']}: {who}", {})[column] = f"{cell}, {measure.median(runs, 'peak') / 2 ** 20:.0f} MiB"
    return [[name, *(row.get(c, "") for c in by_column)] for name, row in rows.items()]


def block(machine, runs, results):
    by_column = columns(results)
    names = [c or "value" for c in by_column]
    amounts = "".join(f"; {c}: {r[0]['amount']}" for c, r in by_column.items() if c)
    return (f"Run of {machine['date']}, commit `{machine['commit']}`, {runs} runs of each, medians{amounts}. "
            f"{machine['cpu']}, {machine['memoryGiB']} GiB, load before {machine['load']}.\n\n" +
            table(["measure", "goal", *names], goals(by_column)) + "\n\n" +
            table(["wall time, CPU of the client + of the server, peak memory of the client", *names], times(by_column)))


def write(machine, runs, server, size, results):
    text = PAGE.read_text()
    place = re.compile(rf"(<!-- bench: {server} {size} -->\n).*?(<!-- end -->)", re.S)
    if not place.search(text):
        raise SystemExit(f"bench: {PAGE} has no place for {server} {size}")
    PAGE.write_text(place.sub(lambda m: f"{m[1]}{block(machine, runs, results)}\n{m[2]}", text))

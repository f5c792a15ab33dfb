"""Run by scripts/bench: measures the parts on each server, prints tables of medians and ratios, writes JSON."""
import argparse
import dataclasses
import datetime
import json
import os
import platform
import subprocess
import sys

import measure
import page
import parts
import shapes

BY_DATA, BY_SERVER = ("snapshot", "verify", "restore", "delta"), ("up", "status", "duplicates")


def size(word):
    units = {"K": 10, "M": 20, "G": 30}
    return int(word[:-1]) << units[word[-1].upper()] if word[-1].upper() in units else int(word)


def arguments():
    p = argparse.ArgumentParser(prog="scripts/bench")
    p.add_argument("--work", required=True)
    p.add_argument("--uri", action="append", required=True, help="KIND=URI")
    p.add_argument("--size", action="append", type=size)
    p.add_argument("--shape", action="append", choices=shapes.SHAPES)
    p.add_argument("--only", action="append", choices=BY_DATA + BY_SERVER)
    p.add_argument("--runs", type=int)
    p.add_argument("--duplicates", type=int, help="documents for noDuplicates")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--json")
    p.add_argument("--write", action="store_true")
    a = p.parse_args()
    a.size = a.size or [size("20M" if a.quick else "100M")]
    a.shape = a.shape or list(shapes.SHAPES[:1] if a.quick else shapes.SHAPES)
    a.only = a.only or list(BY_DATA + BY_SERVER)
    a.runs = a.runs or (1 if a.quick else 3)
    a.duplicates = a.duplicates or (20000 if a.quick else 500000)
    return a


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def machine():
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    here = os.path.dirname(__file__)
    page = ":(top,exclude)docs/performance.md"  # an earlier --write is no change of what is measured
    git = [subprocess.run(["git", "-C", here, *words], text=True, capture_output=True).stdout.strip() for words in
           (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no", "--", ":(top)", page])]
    commit = git[0] + ("-dirty" if git[1] else "")
    return {"cpu": f"{os.cpu_count()} x {cpu}", "memoryGiB": memory, "system": platform.platform(), "commit": commit,
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "load": round(os.getloadavg()[0], 1)}


def show(title, runs, goals):
    print(f"\n{title}\n\n| | wall s | CPU s | server's CPU s | peak MiB | bytes |\n|---|---|---|---|---|---|")
    for name, r in runs.items():
        written = int(measure.median(r, "bytes"))
        print(f"| {name} | {measure.median(r, 'wall'):.2f} | {measure.median(r, 'cpu'):.2f} "
              f"| {measure.median(r, 'server') or '':.4} | {measure.median(r, 'peak') / 2 ** 20:.0f} | {written or ''} |")
    print("\n| measure | value | goal | |\n|---|---|---|---|")
    for g in goals:
        verdict = "" if g.most is None else "met" if g.value <= g.most else "**missed**"
        print(f"| {g.what} | {g.value:.2f} {g.unit} | {'' if g.most is None else f'<= {g.most}'} | {verdict} |")
    sys.stdout.flush()


def main():
    a = arguments()
    report = {"machine": machine(), "runs": a.runs, "results": []}
    print(" | ".join(f"{k}: {v}" for k, v in report["machine"].items()))

    kept = []

    def note(server, part, what, result, shape="", amount=""):
        runs, goals = result
        show(f"### {server}: {part}{what}", runs, goals)
        kept.append({"part": part, "shape": shape, "amount": amount, "runs": runs, "goals": goals})
        report["results"].append({"server": server, "part": part, "what": what.strip(", "), "goals": [dataclasses.asdict(g) for g in goals],
                                  "runs": {n: [dataclasses.asdict(x) for x in r] for n, r in runs.items()}})
        if a.json:
            with open(a.json, "w") as f:
                json.dump(report, f, indent=1)

    def settle(server, size):
        if a.write and kept:
            page.write(report["machine"], a.runs, server, size, kept)
        kept.clear()

    for pair in a.uri:
        server, uri = pair.split("=", 1)
        for wanted in a.size:
            for shape in a.shape if any(p in a.only for p in BY_DATA) else ():
                b = parts.Bench(uri, a.work, shape, wanted, a.runs, say)
                amount = f"{b.bytes / 1e6:.0f} MB in {b.documents:,} documents"
                for part in (p for p in BY_DATA if p in a.only):
                    note(server, part, f", {shape}, {amount}", getattr(b, part)(), shape, amount)
                b.close()
            settle(server, f"{wanted >> 20}M")
        s = parts.Small(uri, a.work, a.runs, say)
        for part in (p for p in BY_SERVER if p in a.only):
            note(server, part, "", s.duplicates(a.duplicates) if part == "duplicates" else getattr(s, part)())
        s.close()
        settle(server, "any")


if __name__ == "__main__":
    main()

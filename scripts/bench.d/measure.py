"""Running a command and what it took: wall time, CPU time of the client, and peak memory, as the kernel counted them."""
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time


@dataclasses.dataclass
class Run:
    wall: float
    cpu: float
    peak: int  # bytes
    bytes: int = 0  # of what it wrote
    server: float = 0  # CPU seconds of the watched server meanwhile; 0: it is not known


class Failed(Exception):
    pass


WATCHED = []  # process ids of the server on this machine


def watch(client):
    """From now on the server's CPU time is taken, too: of a mongod, which tells its process."""
    WATCHED[:] = []
    try:
        pid = int(client.admin.command("serverStatus")["pid"])
        if os.path.exists(f"/proc/{pid}/stat"):
            WATCHED.append(pid)
    except Exception:  # no such command or field: it is not known
        pass


def server_cpu():
    ticks = 0
    for pid in WATCHED:
        with open(f"/proc/{pid}/stat") as f:
            ticks += sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def run(argv, env=None, cwd=None, expect=(0,), stdin=None):
    """Its output is only shown when it fails."""
    # By time(1): what this process has in memory would count as its child's peak from before the exec.
    with tempfile.TemporaryFile() as out, tempfile.NamedTemporaryFile("r") as peak:
        started, busy = time.monotonic(), server_cpu()
        child = subprocess.Popen(["/usr/bin/time", "-q", "-f", "%M", "-o", peak.name, *map(str, argv)], env={**os.environ, **(env or {})}, cwd=cwd, stdout=out,
                                 stderr=subprocess.STDOUT, stdin=stdin or subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in expect:
            out.seek(0)
            raise Failed(f"{' '.join(map(str, argv))}: exit {child.returncode}\n{out.read().decode(errors='replace')[-2000:]}")
        return Run(wall, usage.ru_utime + usage.ru_stime, int(peak.read()) * 1024, server=server_cpu() - busy)


def interleave(contestants, runs, say):
    """contestants: {name: function() -> Run}. One run of each in turn, so that a busy minute hits all alike."""
    results = {name: [] for name in contestants}
    for n in range(runs):
        for name, function in contestants.items():
            if results[name] is None:
                continue
            try:
                results[name].append(function())
            except Failed as e:
                print(f"bench: {name}: {e}", file=sys.stderr)
                results[name] = None  # it does not work here: said once
                continue
            say(f"{name}: run {n + 1} of {runs}: {results[name][-1].wall:.2f} s")
    return {name: r for name, r in results.items() if r}


def median(runs, field):
    return statistics.median(getattr(r, field) for r in runs)

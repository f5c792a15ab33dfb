"""kill -9 at every point that every writing command passes; after `mig recover` all is as before or as after.

Each scenario is run once without a crash and traced: the points it passes, in order (engine/base/crash.h). Then it is
killed at the 1st, 2nd, 3rd ... of them, from the same state again; here a fixed sample, with --run-long each one, and
then from outside at random times. MIG_SEED repeats a random run. MIG_COUNTS=FILE gets the counts.
"""
import collections
import os
import random

import pytest

from conftest import server_uri
from counts import count
from crash_support import POINTS, picture
from scenarios import IDS, SCENARIOS, Ready, up, up_in_a_transaction

SAMPLE = 5            # kills in each scenario when the run is not a long one
KILLS_LONG = 1000     # at least so many in a long one: what the points leave over is killed from outside
SEED = int(os.environ.get("MIG_SEED") or random.randrange(1 << 32))


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    made = {}

    def make(scenario, transactional_uri=None):
        name = scenario.__name__
        if name not in made:
            made[name] = Ready(scenario, transactional_uri or server_uri("MIG_TEST_URI"), tmp_path_factory.mktemp(name))
        return made[name]
    yield make
    for r in made.values():
        r.project.close()


def make(scenario, ready, request):
    uri = request.getfixturevalue("transactional_uri") if scenario is up_in_a_transaction else None
    return ready(scenario, uri)


def sample(points, count, rng):
    """So many positions, as many different points as there can be."""
    by_name = collections.defaultdict(list)
    for position, name in enumerate(points):
        by_name[name].append(position)
    names = list(by_name)
    rng.shuffle(names)
    chosen = [rng.choice(by_name[name]) for name in names[:count]]
    rest = [i for i in range(len(points)) if i not in chosen]
    return sorted(chosen + rng.sample(rest, min(count - len(chosen), len(rest))))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_killed_at_a_sample_of_its_points(scenario, ready, request):
    r = make(scenario, ready, request)
    assert r.points, "the program has no crash points: it must be a test build"
    rng = random.Random(scenario.__name__)  # always the same
    for position in sample(r.points, SAMPLE, rng):
        r.kill_at(position)


def test_every_point_of_the_table_is_passed_by_a_scenario(ready, request):
    passed = set()
    for scenario in SCENARIOS:
        passed |= set(make(scenario, ready, request).points)
    assert sorted(set(POINTS) - passed) == []


def test_killed_and_applied_again(ready, request):
    r = make(up, ready, request)
    for position in (len(r.points) // 3, 2 * len(r.points) // 3):
        r.kill_at(position)
        r.project.mig("up")
        assert picture(r.project) == r.allowed[0] and r.project.status("0001_change") == "applied"


KILLS = collections.Counter()  # of the long run, (scenario, point)


def note(r, point, died):
    KILLS[r.name, point] += died
    count(f"{r.name} killed at {point}", int(died))


@pytest.mark.long
@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_killed_at_every_point_and_in_the_recovery(scenario, ready, request):
    r = make(scenario, ready, request)
    rng = random.Random(f"{SEED} {r.name}")
    for position, point in enumerate(r.points):
        note(r, point, r.kill_at(position))
    assert all(KILLS[r.name, point] for point in r.points)
    if r.command != ["recover"] and r.name not in ("snapshot_create", "snapshot_prune"):
        for _ in range(15):
            note(r, "(then in the recovery)", r.kill_twice_at(rng.randrange(len(r.points)), rng.randrange(1, 40)))


@pytest.mark.long
def test_killed_from_outside_at_random_times_until_there_are_a_thousand(ready, request):
    """The last one: what the points left over. Alone it kills a thousand times."""
    print(f"MIG_SEED={SEED}")
    rng = random.Random(SEED)
    every = [make(s, ready, request) for s in SCENARIOS if s is not up_in_a_transaction]
    while sum(KILLS.values()) < KILLS_LONG:
        r = rng.choice(every)
        note(r, "(from outside)", r.kill_after(rng.uniform(0, r.seconds * 1.1)))
    print(f"{sum(KILLS.values())} kills")

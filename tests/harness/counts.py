"""What the long runs count goes into the file MIG_COUNTS, a JSON object a line; scripts/reliability makes tables of it.

    count("up killed at step_begin", 4)
"""
import json
import os


def count(what, n=1):
    path = os.environ.get("MIG_COUNTS")
    if path and n:
        where = os.environ.get("PYTEST_CURRENT_TEST", "").split("::")[0].rsplit("/", 1)[-1]
        with open(path, "a") as f:
            f.write(json.dumps({"file": where, "what": what, "n": n}) + "\n")

"""/openapi.json against what the server does, by schemathesis: generated requests, good and bad, and every answer checked."""
import os
import subprocess
import sys

from cli_support import three
from serve_support import READ, WRITE, Serve, tokens_file

EXAMPLES = 3

CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "503"]
# any text may name a migration: that there is none of the name is told by the run
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415", "422", "429", "431", "503"]

[[operations]]
include-path = "/api/migrations"
# hardly any text is a migration
warnings.display = []

[[operations]]
include-path = ["/api/migrations/up", "/api/migrations/down", "/api/snapshots/{id}/verify"]
# on a slow machine more runs wait than may
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "503"]

[[operations]]
include-path = "/api/snapshots/{id}/restore"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "503"]
# not every text is the name of a collection
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409", "503"]
"""


def test_every_answer_is_as_described(project):
    three(project)
    project.mig("up", "--steps", "1")
    (project.folder / "schemathesis.toml").write_text(CONFIG)
    with Serve(project, "--tokens", tokens_file(project), "--rate-limit", "100000") as s:
        done = subprocess.run([sys.executable, "-m", "schemathesis.cli", "run", f"{s.url}/openapi.json", "--checks", "all",
                               "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(EXAMPLES), "--seed", "7",
                               "--generation-database", "none", "--request-timeout", "30", "--suppress-health-check", "all", "--no-color",
                               "--header", f"Authorization: Bearer {WRITE}"],
                              cwd=project.folder, capture_output=True, text=True, timeout=540, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        (project.folder / "schemathesis.log").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, done.stdout[-15000:] + done.stderr[-3000:]
        assert "No issues found" in done.stdout
        assert s.get("/health").status == 200 and s.get("/api/session", token=READ).status == 200

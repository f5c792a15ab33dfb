"""Whatever mig copies by itself is signed before the first change that it protects, once a key is set for that.

The signatures are checked by openssl as well. test_encryption.py has the signature itself.
"""
import functools
import json
import os
import pathlib
import subprocess

import pytest

from cli_support import DESTRUCTIVE, add_field, add_users, fails_late, one, picture, snapshots, three_lines
from serve_support import Serve
from test_encryption import keys

ON = {"MIGRATE_ON_START": "true", "MIGRATE_ON_START_FAIL_HARD": "true"}


@pytest.fixture
def signing(project):
    """Users, and a pair of keys; the private one is a setting of the environment of every command."""
    add_users(project, 50)
    project.private, project.public = keys(project, "mine")
    project.plain = project.mig
    project.mig = functools.partial(project.mig, MIG_SIGN_KEY_FILE=project.private)
    return project


def signature(path):
    return path.with_name(path.name + ".sig")


def all_signed(p, count):
    """Every snapshot of the store has its signature, and nothing else lies there. openssl checks them, then mig."""
    made = snapshots(p)
    assert len(made) == count, made
    assert sorted(f.name for f in p.store.iterdir()) == sorted(n for f in made for n in (f.name, signature(f).name))
    for path in made:
        manifest = p.folder / "manifest.json"
        manifest.write_bytes(subprocess.run(["tar", "xOf", path, "manifest.json"], capture_output=True, check=True).stdout)
        assert signature(path).stat().st_mode & 0o777 == 0o600
        subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", p.public, "-in", manifest, "-sigfile", signature(path)],
                       check=True, capture_output=True)
    p.plain("snapshot", "verify", *made, "--signer", p.public)
    return [path.name.split("-")[1] for path in made]


def test_snapshots_of_all_runs_are_signed(signing):
    p = signing
    p.write("0001_x", {"up": DESTRUCTIVE, "down": [{"delete": {"collection": "users", "filter": {}}}], "transaction": "off"})
    p.mig("up")
    all_signed(p, 1)
    p.mig("redo")
    all_signed(p, 3)
    p.mig("down")
    p.mig("run", "0001_x")
    p.mig("rollback")
    all_signed(p, 6)
    p.mig("start", "--", "true", **ON)
    all_signed(p, 7)


def test_what_a_restore_copies_and_what_is_taken_by_hand_or_imported_is_signed(signing):
    p = signing
    before = p.digest()
    made = one(p.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    p.db.users.delete_many({"_id": {"$lt": 7}})
    p.db.users.update_one({"_id": 9}, {"$set": {"name": "changed"}})
    p.mig("restore", made, "--yes", "--signer", p.public)
    assert p.digest() == before
    assert sorted(all_signed(p, 3)) == ["displaced", "manual", "safety"]
    p.mig("snapshot", "export", made, "out")
    p.mig("snapshot", "import", "out")
    all_signed(p, 4)


def test_a_failed_run_signs_what_it_displaces_and_needs_the_key_file_only_at_its_beginning(signing):
    p = signing
    before = p.digest()
    p.write("0001_bad", fails_late(transaction="off"))
    p.mig("up", code=3)
    assert p.digest() == before and p.status("0001_bad") == "failed"
    assert "0001_bad" in all_signed(p, len(snapshots(p)))


def test_encrypted_ones_too(signing):
    key = signing.folder / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    signing.write("0001_x", {"up": DESTRUCTIVE, "transaction": "off"})
    signing.mig("up", MIG_KEY_FILE=key)
    made, = snapshots(signing)
    signing.plain("snapshot", "verify", made, "--signer", signing.public, "--key-file", key)
    three_lines(signing.plain("snapshot", "verify", made, "--signer", signing.public, code=2), "is encrypted")


def test_the_server_signs_what_its_runs_copy(signing):
    signing.write("0001_f", add_field())
    with Serve(signing, MIG_SIGN_KEY_FILE=signing.private) as served:
        assert served.finish(served.post("/api/migrations/up"))["state"] == "succeeded"
        assert served.finish(served.post("/api/migrations/down"))["state"] == "succeeded"
    all_signed(signing, 2)
    signing.write("0002_g", add_field(field="g"))
    with Serve(signing, MIG_SIGN_KEY_FILE="nothere") as served:
        run = served.finish(served.post("/api/migrations/up"))
        assert run["state"] == "failed" and "nothere" in json.dumps(run["error"])
    assert signing.status("0002_g") is None


def test_keys_that_cannot_sign_are_refused_before_the_lease(signing):
    p = signing
    made = one(p.plain("snapshot", "create", "--json"), "snapshot")["snapshot"]
    open_to_all, rsa = p.folder / "open.pem", p.folder / "rsa.pem"
    open_to_all.write_bytes(p.private.read_bytes())
    open_to_all.chmod(0o644)
    subprocess.run(["openssl", "genpkey", "-algorithm", "rsa", "-out", rsa], check=True, capture_output=True)
    rsa.chmod(0o600)
    p.public.chmod(0o600)
    before = picture(p)
    p.write("0001_f", add_field())
    for key, word in (("nothere", "nothere"), (open_to_all, "chmod 600"), (rsa, "Ed25519"), (p.public, "Ed25519")):
        for command in (["up"], ["run", "0001_f"], ["restore", made, "--yes"], ["recover"], ["snapshot", "create"], ["start", "--", "true"]):
            three_lines(p.plain(*command, "--sign-key", key, code=2, **ON) if command[0] != "start" else
                        p.plain("start", "--sign-key", key, "--", "true", code=2, **ON), word)
        three_lines(p.plain("snapshot", "import", "nothere", "--sign-key", key, code=2), word)
        assert "the run would be refused" in p.plain("plan", "--sign-key", key).err
        p.plain("status", "--sign-key", key)
        p.plain("snapshot", "list", "--sign-key", key)
    assert picture(p) == before, "not even a lease"
    assert len(list(p.store.iterdir())) == 1
    assert "signatures         bad" in p.plain("doctor", "--sign-key", rsa, code=6).out
    assert "signatures         ok" in p.mig("doctor").out
    assert "signatures         no" in p.plain("doctor").out


def test_nearer_settings_take_the_place_of_farther_ones(signing):
    """Option, environment, mig.json, whose paths are relative to it."""
    p = signing
    other, others = keys(p, "other")
    elsewhere = p.folder / "etc"
    elsewhere.mkdir()
    os.rename(p.private, elsewhere / "mine.pem")
    (elsewhere / "mig.json").write_text('{"signKey": "mine.pem"}')
    config = ["--config", elsewhere / "mig.json", "--store", p.store]

    def signed_by(*args, **env):
        path = pathlib.Path(one(p.plain("snapshot", "create", "--json", *config, *args, **env), "snapshot")["path"])
        return [who for who in (p.public, others) if p.plain("snapshot", "verify", path, "--signer", who, code=None).code == 0]

    assert signed_by() == [p.public]
    assert signed_by(MIG_SIGN_KEY_FILE=other) == [others]
    assert signed_by(MIG_SIGN_KEY_FILE="") == [p.public]
    assert signed_by("--sign-key", elsewhere / "mine.pem", MIG_SIGN_KEY_FILE=other) == [p.public]
    (elsewhere / "mig.json").write_text("{}")
    assert signed_by() == []
    (elsewhere / "mig.json").write_text('{"signKey": 1}')
    three_lines(p.plain("up", *config, code=2), "signKey")


def test_through_a_pipe_goes_no_signature_and_it_is_said(signing):
    p = signing
    sent = subprocess.run([os.environ["MIG_BIN"], "snapshot", "create", "-"], cwd=p.folder, capture_output=True, timeout=60, check=True,
                          env=p.environment(MIG_SIGN_KEY_FILE=p.private))
    assert b"without a signature" in sent.stderr and not list(p.store.iterdir())
    copy = p.folder / "copy.mig.tar"
    copy.write_bytes(sent.stdout)
    p.mig("snapshot", "verify", copy)


def test_the_private_key_is_shown_and_kept_nowhere(signing):
    p = signing
    secret = p.private.read_text().splitlines()[1]
    p.write("0001_bad", fails_late(transaction="off"))
    results = [p.mig(*command, *more, code=None) for more in (["--verbose"], ["--json"])
               for command in (["up"], ["history"], ["status"], ["doctor"], ["recover"])]
    assert {r.code for r in results} >= {0, 3}
    assert all(secret not in r.out + r.err for r in results)
    for path in p.folder.rglob("*"):
        if path.is_file() and path != p.private:
            assert secret.encode() not in path.read_bytes(), path
    assert secret not in repr(picture(p))

"""Killed around a signature, or a store that takes none: what it protects is not begun, or is put back all the same."""
import os
import pathlib
import time

import pytest

from cli_support import DESTRUCTIVE, REFUSED_BY_SERVER, add_field, fails_late, one, snapshots, three_lines
from conftest import documents_in
from crash_support import KILLED
from s3_server import Fault, S3Proxy, answer
from s3_support import bucket, s3_server, stored  # noqa: F401 (fixtures)
from test_encryption import keys
from test_signing import all_signed, signature, signing  # noqa: F401 (a fixture)
from test_torture import disk

NO_SPACE = 28


def test_killed_at_the_first_step_the_signature_is_there(signing):  # noqa: F811
    p = signing
    p.write("0001_x", {"up": DESTRUCTIVE, "transaction": "off"})
    before = p.digest()
    assert p.mig("up", code=None, MIG_CRASH_AT="step_begin").code == KILLED
    all_signed(p, 1)
    assert p.digest() == before
    p.mig("recover")
    p.mig("up")
    assert p.status("0001_x") == "applied"
    all_signed(p, len(snapshots(p)))


def test_killed_between_snapshot_and_signature_it_is_still_a_snapshot(signing):  # noqa: F811
    p = signing
    before = p.digest()
    p.write("0001_x", {"up": DESTRUCTIVE, "transaction": "off"})
    assert p.mig("up", code=None, MIG_CRASH_AT="snapshot_published").code == KILLED
    path, = p.store.iterdir()
    assert p.digest() == before, "no step has run"
    three_lines(p.plain("snapshot", "verify", path, "--signer", p.public, code=6), "is not signed")
    p.plain("snapshot", "verify", path)
    p.mig("up")  # settles the dead run first
    assert p.status("0001_x") == "applied" and len(snapshots(p)) == 2
    signed, = (f for f in snapshots(p) if f != path)
    p.plain("snapshot", "verify", signed, "--signer", p.public)
    three_lines(p.mig("restore", path, "--yes", "--signer", p.public, code=1), "is not signed")
    p.mig("restore", path, "--yes", "--no-safety-snapshot")
    assert p.digest() == before
    p.mig("snapshot", "prune", path.name.removesuffix(".mig.tar"), "--force")
    assert not path.exists() and signed.exists()


def test_recover_with_a_key_that_is_lost_writes_nothing_and_without_the_setting_puts_everything_back(signing):  # noqa: F811
    p = signing
    before = p.digest()
    p.write("0001_x", {"up": DESTRUCTIVE, "transaction": "off"})
    assert p.mig("up", code=None, MIG_CRASH_AT="step_end:2").code == KILLED
    torn, ledger = p.digest(), p.ledger("0001_x")
    assert torn != before
    three_lines(p.plain("recover", "--sign-key", "nothere", code=7), "0001_x", "nothere")
    assert p.digest() == torn and p.ledger("0001_x") == ledger
    p.plain("recover")
    assert p.digest() == before and p.status("0001_x") == "failed"


def test_what_a_killed_signing_left_is_swept_once_nobody_can_be_at_it(signing):  # noqa: F811
    p = signing
    made, = [pathlib.Path(one(p.mig("snapshot", "create", "--json"), "snapshot")["path"])]
    old, young, link, strange = (p.store / f"{made.name}.sig.{'0' * 15}{n}.tmp" for n in range(4))
    other = p.store / "notes.tmp"
    for file in (old, young, other):
        file.write_bytes(b"half")
    link.symlink_to(p.private)
    strange.mkdir()
    for file in (old, other):
        os.utime(file, (time.time() - 3700,) * 2)
    os.utime(link, (time.time() - 3700,) * 2, follow_symlinks=False)
    p.mig("snapshot", "create")
    assert not old.exists() and young.exists() and other.exists() and link.is_symlink() and strange.is_dir()
    assert p.private.exists() and signature(made).exists() and len(snapshots(p)) == 2


def calls(p, log, call, fail="0"):
    """up with a disk that fails; which calls on files of the store there were."""
    log.unlink(missing_ok=True)
    env = {**disk(p.store, fail, log), "MIG_FS_CALL": call, "MIG_SIGN_KEY_FILE": p.private}
    result = p.plain("up", code=None, **env)
    return result, log.read_text().splitlines()


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
def test_a_signature_that_cannot_be_written_stops_the_run_before_its_first_step(signing, tmp_path, call):  # noqa: F811
    p, log = signing, tmp_path / "log"
    p.store.mkdir(mode=0o700)
    p.write("0001_x", {"up": [*DESTRUCTIVE, REFUSED_BY_SERVER], "transaction": "off"})
    before = p.digest()
    result, seen = calls(p, log, call)
    assert result.code == 3 and p.digest() == before
    first = next(line for line in seen if ".sig" in line and "-displaced-" not in line)
    for path in p.store.iterdir():
        path.unlink()
    result, seen = calls(p, log, call, f"{first.split()[0]}:{NO_SPACE}")
    assert result.code == 1 and ".sig" in next(line for line in seen if "FAILED" in line), seen
    three_lines(result, "could not be signed", "No space left")
    assert p.digest() == before and not list(p.store.iterdir()), "nothing is left"


@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_restore_does_not_fail_for_a_signature_of_what_it_displaced(signing, tmp_path, call):  # noqa: F811
    p, log = signing, tmp_path / "log"
    p.store.mkdir(mode=0o700)
    p.write("0001_x", fails_late(transaction="off"))
    before = p.digest()
    displaced = next(line for line in calls(p, log, call)[1] if ".sig" in line and "-displaced-" in line)
    for path in p.store.iterdir():
        path.unlink()
    result, seen = calls(p, log, call, f"{displaced.split()[0]}:{NO_SPACE}")
    assert result.code == 3 and "-displaced-" in next(line for line in seen if "FAILED" in line), (result, seen)
    assert "could not be signed" in result.err and p.digest() == before
    kept, = p.store.glob("*-displaced-*.mig.tar")
    assert not signature(kept).exists() and documents_in(kept)
    p.plain("snapshot", "verify", kept)


# ---- in a bucket -----------------------------------------------------------------------------------------------------------

def test_runs_sign_in_a_bucket_and_one_that_takes_no_signatures_stops_them(stored, tmp_path):  # noqa: F811
    p = stored
    private, public = keys(p, "mine")
    p.write("0001_f", add_field())
    p.write("0002_g", {"up": DESTRUCTIVE, "transaction": "off"})

    def refuse(handler, body):
        answer(403, "AccessDenied")(handler, body) if handler.path.endswith(".sig") else handler.pass_on(body)

    with S3Proxy(p.bucket.server, [Fault(refuse, method="PUT", times=None)]) as proxy:
        p.endpoint = proxy.url
        before = p.digest()
        three_lines(p.mig("up", "--sign-key", private, code=1), "could not be signed", "AccessDenied")
        assert p.digest() == before and p.ids() == [] and not p.bucket.uploads()
        p.endpoint = None
    p.mig("up", "--sign-key", private)
    assert len(p.ids()) == 2
    p.mig("snapshot", "verify", *p.ids(), "--signer", public)
    assert sorted(o.rsplit("/", 1)[1] for o in p.bucket.objects()) == sorted(
        n for i in p.ids() for n in (f"{i}.mig.tar", f"{i}.mig.tar.sig"))
    p.mig("snapshot", "prune", *p.ids(), "--force")
    assert not p.bucket.objects()

"""Encrypted and signed snapshots: nothing in the clear, automatic restores work, each kind of wrong has its own error."""
import importlib.util

import os
import pathlib
import pty
import select
import signal
import subprocess
import sys

import pytest

from cli_support import DESTRUCTIVE, NEVER, add_users, one, picture, snapshots, three_lines

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
MARK = "n17"  # stands in a document


def module(name):
    sys.path.insert(0, str(GOLDEN))
    try:
        spec = importlib.util.spec_from_file_location(name, GOLDEN / f"{name}.py")
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        return made
    finally:
        sys.path.remove(str(GOLDEN))


@pytest.fixture
def locked(project):
    """A database, and a key file in project.key."""
    add_users(project, 50)
    project.key = project.folder / "key"
    project.key.write_bytes(os.urandom(32))
    project.key.chmod(0o600)
    project.words = project.folder / "words"
    project.words.write_text("correct horse\n")
    project.words.chmod(0o600)
    return project


def create(p, *args, **env):
    return one(p.mig("snapshot", "create", "--json", *args, **env), "snapshot")


@pytest.mark.parametrize("how", ["key", "words"])
def test_an_encrypted_snapshot_is_read_only_with_its_key_and_restores_exactly(locked, how):
    option = ["--key-file", locked.key] if how == "key" else ["--passphrase-file", locked.words]
    made = create(locked, *option)
    names = subprocess.run(["tar", "tf", made["path"]], capture_output=True, text=True, check=True).stdout
    assert ".bson.zst.aes" in names and "firstJson" not in pathlib.Path(made["path"]).read_text(errors="replace")
    before = locked.digest()
    assert made["snapshot"] in locked.mig("snapshot", "list").out  # the manifest needs no key
    assert "users" in locked.mig("snapshot", "show", made["snapshot"]).out
    locked.mig("snapshot", "verify", made["snapshot"], *option)
    locked.db.users.delete_many({"_id": {"$lt": 20}})
    damaged = picture(locked)
    for command in (["verify"], ["diff"], ["export"]):
        more = ["out"] if command == ["export"] else []
        three_lines(locked.mig("snapshot", *command, made["snapshot"], *more, code=2), "is encrypted", "none was given")
    three_lines(locked.mig("restore", made["snapshot"], "--yes", code=2), "is encrypted")
    wrong = locked.folder / "wrong"
    wrong.write_bytes(os.urandom(32) if how == "key" else b"incorrect horse")
    wrong.chmod(0o600)
    error = three_lines(locked.mig("restore", made["snapshot"], "--yes", option[0], wrong, code=1), "this is not the")
    assert "altered" not in error[0]
    assert picture(locked) == damaged
    safety = one(locked.mig("restore", made["snapshot"], "--yes", "--json", *option), "safetySnapshot")["safetySnapshot"]
    assert locked.digest() == before
    three_lines(locked.mig("snapshot", "verify", safety, code=2), "is encrypted")  # all that is written is encrypted


def test_a_failed_migration_is_put_back_from_an_encrypted_snapshot(locked):
    before = locked.digest()
    locked.write("0001_x", {"up": DESTRUCTIVE, "verify": NEVER, "transaction": "off"})
    locked.mig("up", code=3, MIG_KEY_FILE=locked.key)
    assert locked.digest("users") and {d["_id"] for d in locked.db.users.find()} == set(range(50))
    locked.mig("up", code=-signal.SIGKILL, MIG_KEY_FILE=locked.key, MIG_CRASH_AT="step_end:2")
    three_lines(locked.mig("recover", code=None), "is encrypted")  # without the key it cannot, and says why
    locked.mig("recover", MIG_KEY_FILE=locked.key)
    assert locked.digest() == before


def test_altered_data_is_told_from_a_wrong_key_also_when_all_sums_are_right(locked):
    """As a careful forger would leave it: only the key could make the tag."""
    damage, reader = module("damage"), module("read_snapshot")
    secret = reader.Secret(key=b"0123456789abcdef0123456789abcdef")
    good = (GOLDEN / "encrypted" / "format1-key-file.mig.tar").read_bytes()
    key = locked.folder / "golden"
    key.write_bytes(secret.key)
    key.chmod(0o600)
    parts = damage.members(good)
    chunks = [i for i, (name, _, _) in enumerate(parts) if name.endswith(".aes")]

    def refused(changed, word):
        file = locked.folder / "forged.mig.tar"
        file.write_bytes(damage.reseal(changed))
        file.chmod(0o600)
        error = three_lines(locked.mig("snapshot", "verify", file, "--key-file", key, code=6), word)
        assert "this is not the key" not in error[0]

    flipped = list(parts)
    name, header, content = parts[chunks[0]]
    flipped[chunks[0]] = (name, header, content[:40] + bytes([content[40] ^ 1]) + content[41:])
    refused(flipped, "was altered")
    text = parts[-1][2].decode().replace('"id":"format1-key-file"', '"id":"another"')  # moved into another archive
    moved = [(n, h, c.replace(b'"id":"format1-key-file"', b'"id":"another"') if n == "mig-snapshot.json" else c) for n, h, c in parts]
    moved = [(n, damage.header_of(h, n, len(c)), c) for n, h, c in moved]
    moved[-1] = (parts[-1][0], parts[-1][1], text.encode())
    refused(moved, "was altered")


def test_a_second_reader_decrypts_by_the_format_page_alone(locked):
    pytest.importorskip("cryptography", reason="the Python package cryptography is not there (scripts/lib/python.sh installs it)")
    reader = module("read_snapshot")
    made = create(locked, "--key-file", locked.key)
    out = locked.folder / "plain"
    out.mkdir()
    manifest = reader.verify(made["path"], reader.Secret(key=locked.key.read_bytes()), str(out))
    assert manifest["digest"] == made["digest"] and MARK.encode() in (out / f"{locked.name}.users.bson").read_bytes()
    with pytest.raises(reader.Bad, match="wrong key"):
        reader.verify(made["path"], reader.Secret(key=os.urandom(32)))
    for name, secret in (("key-file", reader.Secret(key=(GOLDEN / "encrypted" / "key").read_bytes())),
                         ("passphrase", reader.Secret(passphrase=(GOLDEN / "encrypted" / "passphrase.txt").read_bytes().strip()))):
        assert reader.verify(str(GOLDEN / "encrypted" / f"format1-{name}.mig.tar"), secret)["documents"] == 11


def test_keys_that_are_none_are_refused_before_anything_is_done(locked):
    short = locked.folder / "short"
    short.write_bytes(b"x" * 31)
    short.chmod(0o600)
    open_to_all = locked.folder / "open"
    open_to_all.write_bytes(os.urandom(32))
    open_to_all.chmod(0o644)
    for args, word in ((["--key-file", short], "too short"), (["--key-file", open_to_all], "chmod 600"),
                       (["--key-file", "nothere"], "nothere"), (["--key-file", locked.key, "--passphrase-file", locked.words], "exclude")):
        three_lines(locked.mig("snapshot", "create", *args, code=2), word)
    assert not snapshots(locked)


def test_a_passphrase_is_asked_for_on_the_terminal_and_never_shown(locked):
    three_lines(subprocess_without_terminal(locked, "snapshot", "create", "--passphrase"), "no terminal")
    code, screen = typed(locked, ["snapshot", "create", "--passphrase"], ["tr0ub4dor", "tr0ub4dor"])
    assert code == 0 and "tr0ub4dor" not in screen and len(snapshots(locked)) == 1
    assert typed(locked, ["snapshot", "create", "--passphrase"], ["one", "other"])[0] == 2
    assert len(snapshots(locked)) == 1
    name = snapshots(locked)[0].name
    assert typed(locked, ["snapshot", "verify", f"snapshots/{name}", "--passphrase"], ["tr0ub4dor"])[0] == 0
    assert typed(locked, ["snapshot", "verify", f"snapshots/{name}", "--passphrase"], ["wrong"])[0] == 6


def typed(p, args, answers):
    """Runs mig on a terminal of its own and types. (exit code, screen)"""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(p.folder)
        os.execve(os.environ["MIG_BIN"], [os.environ["MIG_BIN"], *args], p.environment())
    screen, asked = "", 0
    while select.select([terminal], [], [], 60)[0]:
        try:
            piece = os.read(terminal, 65536).decode()
        except OSError:
            break
        if not piece:
            break
        screen += piece
        while asked < len(answers) and screen.count(": ") > asked and (screen.count("Passphrase of") + screen.count("The same again")) > asked:
            os.write(terminal, (answers[asked] + "\n").encode())
            asked += 1
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return code, screen


def subprocess_without_terminal(p, *args):
    done = subprocess.run([os.environ["MIG_BIN"], *args], cwd=p.folder, env=p.environment(), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, start_new_session=True)
    assert done.returncode == 2
    return done


# ---- signatures --------------------------------------------------------------------------------------------------------

def keys(p, name):
    private, public = p.folder / f"{name}.pem", p.folder / f"{name}.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def test_a_signature_says_who_and_that_nothing_was_changed(locked):
    private, public = keys(locked, "mine")
    _, stranger = keys(locked, "stranger")
    made = create(locked, "--sign-key", private)
    path = pathlib.Path(made["path"])
    signature = path.with_name(path.name + ".sig")
    assert len(signature.read_bytes()) == 64
    locked.mig("snapshot", "verify", path, "--signer", public)
    three_lines(locked.mig("snapshot", "verify", path, "--signer", stranger, code=6), "is not signed by")
    manifest = locked.folder / "manifest.json"  # openssl alone agrees
    manifest.write_bytes(subprocess.run(["tar", "xOf", path, "manifest.json"], capture_output=True, check=True).stdout)
    subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-in", manifest, "-sigfile", signature],
                   check=True, capture_output=True)
    unsigned = create(locked)
    three_lines(locked.mig("snapshot", "verify", unsigned["path"], "--signer", public, code=6), "is not signed")
    signature.write_bytes(bytes(64))
    three_lines(locked.mig("snapshot", "verify", path, "--signer", public, code=6), "is not signed by")
    os.replace(unsigned["path"], path)  # another archive under the signed name
    three_lines(locked.mig("snapshot", "verify", path, "--signer", public, code=6))


def test_a_key_that_cannot_sign_is_refused_before_the_snapshot(locked):
    private, public = keys(locked, "mine")
    for key in (public, locked.key, "nothere"):
        three_lines(locked.mig("snapshot", "create", "--sign-key", key, code=2))
    three_lines(locked.mig("snapshot", "create", "-", "--sign-key", private, code=2), "exclude")
    assert not snapshots(locked)
    name = create(locked, "--sign-key", private)["snapshot"]
    locked.mig("snapshot", "prune", name)
    assert not list(locked.store.glob("*"))  # its signature goes with it

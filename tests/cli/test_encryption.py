"""Encrypted and signed snapshots: nothing in the clear, automatic restores work, each kind of wrong has its own error."""
import hashlib
import hmac
import importlib.util
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys

import bson
import pytest

from conftest import RAW
from cli_support import DESTRUCTIVE, NEVER, add_field, add_users, one, picture, snapshots, three_lines
from test_dump import Offline, hand

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
    error = three_lines(locked.mig("restore", made["snapshot"], "--yes", option[0], wrong, code=2), "this is not the")
    assert "altered" not in error[0]
    told = locked.mig("snapshot", "verify", made["snapshot"], option[0], wrong, code=2)
    three_lines(told, "this is not the", "the file's sum is right")
    assert "UNREAD" in told.out and "DAMAGED" not in told.out
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
    torn = picture(locked)
    for _ in range(2):  # without the key it cannot, says why, and changes nothing
        three_lines(locked.mig("recover", code=4), "is encrypted", "MIG_KEY_FILE")
        three_lines(locked.mig("recover", code=4, MIG_PASSPHRASE_FILE=locked.words), "is encrypted")
        three_lines(locked.mig("up", code=4), "is encrypted")
    assert {k: v for k, v in picture(locked).items() if not k.startswith("migration")} == \
           {k: v for k, v in torn.items() if not k.startswith("migration")}
    assert locked.ledger("0001_x")["run"]["phase"] == "steps"
    locked.mig("recover", MIG_KEY_FILE=locked.key)
    assert locked.digest() == before


class Forger:
    """Leaves every sum right; the HMAC of the manifest, too, where it has the key."""

    def __init__(self, p):
        self.p, self.damage, self.reader = p, module("damage"), module("read_snapshot")
        self.secret = self.reader.Secret(key=(GOLDEN / "encrypted" / "key").read_bytes())
        self.key = p.folder / "golden"
        self.key.write_bytes(self.secret.key)
        self.key.chmod(0o600)
        self.good = (GOLDEN / "encrypted" / "format1-key-file.mig.tar").read_bytes()
        self.parts = self.damage.members(self.good)
        self.chunks = [i for i, (name, _, _) in enumerate(self.parts) if name.endswith(".aes")]
        encryption = self.reader.json.loads(self.parts[-1][2])["encryption"]
        manifest_key = self.secret.keys(encryption)[1]
        self.mac = lambda body: hmac.new(manifest_key, body, hashlib.sha256).hexdigest()

    def with_text(self, parts, old, new):
        """Replaced in the header and the manifest alike."""
        changed = [(n, h, c.replace(old, new)) if n in ("mig-snapshot.json", "manifest.json") else (n, h, c) for n, h, c in parts]
        assert changed != parts
        return [(n, self.damage.header_of(h, n, len(c)), c) for n, h, c in changed]

    def verdict(self, parts, has_key):
        file = self.p.folder / "forged.mig.tar"
        file.write_bytes(self.damage.reseal(parts, hmac=self.mac if has_key else None))
        file.chmod(0o600)
        return self.p.mig("snapshot", "verify", file, "--key-file", self.key, code=None)


def test_altered_data_is_told_from_a_wrong_key_also_when_all_sums_are_right(locked):
    f = Forger(locked)
    first, second = f.chunks[:2]
    other = next(i for i in f.chunks if f.parts[i][0].split("/")[1] != f.parts[first][0].split("/")[1])

    def swapped(a, b):
        parts = list(f.parts)
        parts[a] = (parts[a][0], f.damage.header_of(parts[a][1], parts[a][0], len(f.parts[b][2])), f.parts[b][2])
        parts[b] = (parts[b][0], f.damage.header_of(parts[b][1], parts[b][0], len(f.parts[a][2])), f.parts[a][2])
        return parts

    def flipped(at):
        name, header, content = f.parts[first]
        parts = list(f.parts)
        parts[first] = (name, header, content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
        return parts

    same = f.verdict(f.parts, True)
    assert same.code == 0, same
    forgeries = {"nonce": flipped(3), "text": flipped(40), "tag": flipped(len(f.parts[first][2]) - 1), "swapped": swapped(first, second),
                 "of another collection": swapped(first, other),
                 "of another archive": f.with_text(f.parts, b'"id":"format1-key-file"', b'"id":"another"')}
    for name, parts in forgeries.items():
        result = f.verdict(parts, True)  # only the chunk's own tag can tell
        assert result.code == 6 and "DAMAGED" in result.out, (name, result)
        error = three_lines(result, "was altered, or is not of this place")
        assert "this is not the key" not in error[0]
        assert f.verdict(parts, False).code == 6, name


def test_a_manifest_is_only_believed_when_the_key_has_made_it(locked):
    """Without the key nobody can leave out a collection, or say something else of it."""
    f = Forger(locked)
    manifest = f.parts[-1][2]
    empty = re.search(rb'{"collection":"empty",.*?}}', manifest)[0]
    changes = {"reason": f.with_text(f.parts, b'"reason":"before up of 0001_x"', b'"reason":"manual"'),
               "another is gone": f.with_text(f.parts, b'{"collection":"gone"', b'{"collection":"going"'),
               "a collection is gone": [part for part in f.with_text(f.parts, empty, b'{"collection":"empty","holds":"absent"}')
                                        if not part[0].startswith("app/empty/")]}
    for name, parts in changes.items():
        result = f.verdict(parts, False)
        assert result.code == 6 and "DAMAGED" in result.out, (name, result)
        three_lines(result, "manifest.json was altered", "HMAC")
        assert f.verdict(parts, True).code == 0, (name, "the key's holder may")


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


def test_the_script_in_the_documentation_decrypts(locked):
    """docs/snapshot-format.md, "By hand", with nothing else of ours."""
    pytest.importorskip("cryptography", reason="the Python package cryptography is not there (scripts/lib/python.sh installs it)")
    page = (GOLDEN.parents[1] / "docs" / "snapshot-format.md").read_text()
    script = locked.folder / "decrypt.py"
    script.write_text(re.search(r"```python\n(# decrypt\.py.*?)```", page, re.S)[1])
    assert len(script.read_text().splitlines()) < 45, "a page"
    for key, words in ((locked.key, []), (locked.words, ["passphrase"])):
        made = create(locked, "--passphrase-file" if words else "--key-file", key)
        out = locked.folder / ("plain" + "".join(words))
        subprocess.run([sys.executable, script, made["path"], key, out, *words], check=True, timeout=120)
        packed = sorted((out / locked.name / "users").glob("*.bson.zst"))
        raw = b"".join(subprocess.run(["zstd", "-dqc", path], capture_output=True, check=True).stdout for path in packed)
        documents = locked.client.get_database(locked.name, codec_options=RAW).users.find().sort("_id")
        assert raw == b"".join(d.raw for d in documents)
        bad = subprocess.run([sys.executable, script, made["path"], locked.key if words else locked.words, out, *words],
                             capture_output=True, text=True, timeout=120)
        assert bad.returncode != 0 and "wrong key" in bad.stderr


def test_keys_that_are_none_are_refused_before_anything_is_done(locked):
    short = locked.folder / "short"
    short.write_bytes(b"x" * 31)
    short.chmod(0o600)
    open_to_all = locked.folder / "open"
    open_to_all.write_bytes(os.urandom(32))
    open_to_all.chmod(0o644)
    before = picture(locked)
    locked.write("0001_f", add_field())
    for args, word in ((["--key-file", short], "too short"), (["--key-file", open_to_all], "chmod 600"),
                       (["--key-file", "nothere"], "nothere"), (["--key-file", locked.key, "--passphrase-file", locked.words], "exclude")):
        three_lines(locked.mig("snapshot", "create", *args, code=2), word)
        three_lines(locked.mig("up", *args, code=2), word)
        three_lines(locked.mig("recover", *args, code=2), word)
        if word != "exclude":  # what neither reads nor writes documents of a snapshot does not ask for the key
            locked.mig("status", *args)
            locked.mig("list", *args)
            locked.mig("snapshot", "list", *args)
            assert "the run would be refused" in locked.mig("plan", *args).err
    assert not snapshots(locked) and not locked.store.exists()
    assert picture(locked) == before, "not even a lease"
    assert "encryption         bad" in locked.mig("doctor", "--key-file", short, code=6).out
    assert "encryption         ok" in locked.mig("doctor", "--key-file", locked.key).out


def test_nearer_settings_take_the_place_of_farther_ones(locked):
    """Option, environment, mig.json; and in each place only one of the two."""
    def kind(*args, **env):
        shown = locked.mig("snapshot", "show", create(locked, *args, **env)["snapshot"]).out
        return shown.split("encrypted   ")[1].split("\n")[0]

    (locked.folder / "mig.json").write_text('{"keyFile": "key"}')
    assert kind() == "with a key file"
    assert kind(MIG_PASSPHRASE_FILE=locked.words) == "with a passphrase"
    assert kind("--key-file", locked.key, MIG_PASSPHRASE_FILE=locked.words) == "with a key file"
    (locked.folder / "mig.json").unlink()
    assert kind() == "no" and kind(MIG_KEY_FILE="") == "no"
    three_lines(locked.mig("up", code=2, MIG_KEY_FILE=locked.key, MIG_PASSPHRASE_FILE=locked.words), "exclude")
    assert [line["encrypted"] for line in locked.mig("snapshot", "list", "--json").lines if "readable" in line].count(True) == 3


def test_a_program_that_starts_encrypts_what_it_copies(locked):
    locked.write("0001_x", {"up": DESTRUCTIVE, "transaction": "off"})
    on = {"MIGRATE_ON_START": "true", "MIGRATE_ON_START_FAIL_HARD": "true"}
    three_lines(locked.mig("start", "--passphrase", "--", "true", code=2, **on), "asks for no passphrase", "nobody is there")
    three_lines(locked.mig("start", "--", "true", code=2, MIG_KEY_FILE="nothere", **on), "nothere")
    assert locked.status("0001_x") is None and not snapshots(locked)
    locked.mig("start", "--", "true", MIG_KEY_FILE=locked.key, **on)
    assert locked.status("0001_x") == "applied"
    (made,) = snapshots(locked)
    three_lines(locked.mig("snapshot", "verify", made, code=2), "is encrypted")
    locked.mig("snapshot", "verify", made, "--key-file", locked.key)


def test_encrypted_snapshots_are_compared_exported_sent_and_pruned_like_others(locked):
    key = ["--key-file", locked.key]
    first = create(locked, *key)["snapshot"]
    locked.mig("snapshot", "diff", first, *key)
    before = locked.digest()
    locked.db.users.delete_one({"_id": 3})
    locked.mig("snapshot", "diff", first, *key, code=6)
    second = create(locked, *key)["snapshot"]  # another salt, another key for its chunks
    locked.mig("snapshot", "diff", first, second, *key, code=6)
    locked.mig("restore", first, "--dry-run", *key)
    locked.mig("snapshot", "export", first, "out", *key)
    assert MARK.encode() in (locked.folder / "out" / locked.name / "users.bson").read_bytes()
    imported = one(locked.mig("snapshot", "import", "out", "--json", *key), "snapshot")["snapshot"]
    three_lines(locked.mig("snapshot", "verify", imported, code=2), "is encrypted")
    sent = subprocess.run([os.environ["MIG_BIN"], "snapshot", "create", "-", *map(str, key)], cwd=locked.folder,
                          env=locked.environment(), capture_output=True, timeout=60, check=True).stdout
    assert MARK.encode() not in sent and b".bson.zst.aes" in sent
    locked.db.users.drop()
    for more, code in (([], 2), (key, 0)):
        got = subprocess.run([os.environ["MIG_BIN"], "restore", "-", "--yes", *map(str, more)], cwd=locked.folder,
                             env=locked.environment(), input=sent, capture_output=True, timeout=60)
        assert got.returncode == code, got
    assert locked.db.users.count_documents({}) == 49
    locked.mig("restore", first, "--yes", *key)
    assert locked.digest() == before
    locked.mig("restore", first, "--yes", "--as", f"users={locked.name}.beside", "--no-safety-snapshot", *key)
    assert locked.db.beside.count_documents({}) == 50
    locked.mig("snapshot", "prune", "--keep-last", "1")  # without the key
    assert len(snapshots(locked)) == 1


def test_migrations_up_and_down_copy_encrypted(locked):
    locked.write("0001_x", {"up": DESTRUCTIVE, "down": [{"insert": {"collection": "back", "documents": [{"_id": 1}]}}], "transaction": "off"})
    locked.mig("up", MIG_KEY_FILE=locked.key)
    locked.mig("down", MIG_KEY_FILE=locked.key)
    for made in snapshots(locked):
        three_lines(locked.mig("snapshot", "verify", made, code=2), "is encrypted")
    assert len(snapshots(locked)) == 2


def test_key_and_passphrase_are_shown_and_kept_nowhere(locked):
    secret, words = locked.key.read_bytes(), b"correct horse"
    locked.write("0001_x", {"up": DESTRUCTIVE, "verify": NEVER, "transaction": "off"})
    results = []
    for option in (["--key-file", locked.key], ["--passphrase-file", locked.words]):
        for more in (["--verbose"], ["--json"]):
            made = create(locked, *option)["snapshot"]
            for command in (["up"], ["history"], ["status"], ["doctor"], ["snapshot", "show", made], ["snapshot", "verify", made],
                            ["restore", made, "--yes"], ["recover"]):
                results.append(locked.mig(*command, *option, *more, code=None))
    assert {r.code for r in results} >= {0, 3}
    for needle in (secret, words, secret.hex().encode()):
        assert all(needle not in (r.out + r.err).encode() for r in results)
        for path in locked.folder.rglob("*"):
            if path.is_file() and path not in (locked.key, locked.words):
                assert needle not in path.read_bytes(), path
        assert needle not in repr(picture(locked)).encode()


def test_a_passphrase_is_asked_for_on_the_terminal_and_never_shown(locked):
    three_lines(subprocess_without_terminal(locked, "snapshot", "create", "--passphrase"), "no terminal")
    code, screen = typed(locked, ["snapshot", "create", "--passphrase"], ["tr0ub4dor", "tr0ub4dor"])
    assert code == 0 and "tr0ub4dor" not in screen and len(snapshots(locked)) == 1
    assert typed(locked, ["snapshot", "create", "--passphrase"], ["one", "other"])[0] == 2
    assert len(snapshots(locked)) == 1
    name = snapshots(locked)[0].name
    assert typed(locked, ["snapshot", "verify", f"snapshots/{name}", "--passphrase"], ["tr0ub4dor"])[0] == 0
    assert typed(locked, ["snapshot", "verify", f"snapshots/{name}", "--passphrase"], ["wrong"])[0] == 2
    code, screen = typed(locked, ["snapshot", "create", "--passphrase"], ["x" * 1500])
    assert code == 2 and "at most 1023 bytes" in screen
    code, screen = typed(locked, ["snapshot", "create", "--passphrase"], ["half a passph\x03"])  # Ctrl-C
    assert code == 130 and "half" not in screen and len(snapshots(locked)) == 1
    result = locked.mig("snapshot", "create", "--passphrase=tr0ub4dor", code=2)  # never an argument
    assert "tr0ub4dor" not in result.out + result.err


def test_encryption_costs_little_memory(tmp_path):
    """Documents that do not compress, so that every buffer is full: a chunk's frame is there twice only while a thread is at it
    (16 MiB of chunks at most), and scrypt is done before there are any buffers."""
    if "asan" in os.environ.get("MIG_BUILD_DIR", os.environ["MIG_BIN"]):
        pytest.skip("the sanitizer's own memory would be measured")
    p = Offline(tmp_path)
    with open(hand(p, None, "{}") / "app" / "c.bson", "wb") as f:
        for n in range(15_000):
            f.write(bson.encode({"_id": n, "b": os.urandom(4000)}))
    words = tmp_path / "words"
    words.write_text("correct horse")
    words.chmod(0o600)
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")

    def peak(*args):
        done = subprocess.run([sys.executable, "-c", code, os.environ["MIG_BIN"], "snapshot", *args], cwd=p.folder, env=p.environment(),
                              capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        return int(done.stdout.split()[-1])

    clear = {"import": peak("import", "dump")}
    clear["verify"] = peak("verify", "20")
    for path in p.store.glob("*"):
        path.unlink()
    locked = {"import": peak("import", "dump", "--passphrase-file", words)}
    locked["verify"] = peak("verify", "20", "--passphrase-file", words)
    for what, kib in locked.items():
        assert kib < clear[what] + 20 * 1024, (what, clear, locked)


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
    before = picture(locked)
    locked.db.users.delete_many({})
    three_lines(locked.mig("restore", path, "--yes", "--signer", stranger, code=1), "is not signed by")
    assert locked.db.users.count_documents({}) == 0 and len(snapshots(locked)) == 1
    locked.mig("restore", path, "--yes", "--signer", public, "--no-safety-snapshot")
    assert picture(locked)["users"] == before["users"]
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


def put_over(p, older, newer):
    """What somebody who may write to the store does: one snapshot, its signature too, under another one's name."""
    for suffix in ("", ".sig"):
        source, target = pathlib.Path(older["path"] + suffix), pathlib.Path(newer["path"] + suffix)
        target.unlink(missing_ok=True)
        if source.exists():
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)


def test_a_snapshot_under_another_ones_name_is_refused_with_its_signer_and_warned_of_without(locked):
    private, public = keys(locked, "mine")
    older = create(locked, "--sign-key", private)
    locked.db.users.update_many({}, {"$set": {"name": "newer"}})
    newer = create(locked, "--sign-key", private)
    put_over(locked, older, newer)
    before = picture(locked)
    for name in (newer["snapshot"], newer["path"]):
        three_lines(locked.mig("snapshot", "verify", name, "--signer", public, code=6), older["snapshot"], "not the snapshot of that name")
        three_lines(locked.mig("restore", name, "--yes", "--signer", public, code=1), older["snapshot"])
    assert picture(locked) == before
    for args in (["snapshot", "verify", newer["snapshot"]], ["restore", newer["snapshot"], "--yes"]):
        assert f"it holds {older['snapshot']}" in locked.mig(*args).err
    mine = locked.folder / "mine.mig.tar"  # a name that is no id claims nothing
    for suffix in ("", ".sig"):
        pathlib.Path(f"{mine}{suffix}").write_bytes(pathlib.Path(older["path"] + suffix).read_bytes())
    assert "it holds" not in locked.mig("snapshot", "verify", mine, "--signer", public).err


def test_a_snapshot_in_the_clear_is_warned_of_where_a_key_is_set(locked):
    option = ["--key-file", locked.key]
    sealed = create(locked, *option)
    plain = create(locked)
    put_over(locked, plain, sealed)
    for args in (["snapshot", "verify", sealed["snapshot"]], ["restore", sealed["snapshot"], "--dry-run"], ["restore", sealed["snapshot"], "--yes"]):
        said = locked.mig(*args, *option).err
        assert "is not encrypted although a key is set" in said and sealed["snapshot"] in said
    assert "not encrypted" not in locked.mig("snapshot", "verify", plain["snapshot"]).err

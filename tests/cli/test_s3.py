"""A store that is a bucket does what a folder does: against a real S3 server, looked at as plain files."""
import json
import os
import pathlib
import subprocess

import pytest

from cli_support import add_field, add_users, events, fails_late, free, one, picture, three_lines
from conftest import documents_in
from s3_server import ACCESS, SECRET, Fault, S3Proxy
from s3_support import bucket, large, s3_server, stored  # noqa: F401 (fixtures)


def test_snapshots_are_made_listed_shown_verified_and_restored(stored):
    p = stored
    before = p.digest()
    made = one(p.mig("snapshot", "create", "--json"), "snapshot")
    assert made["path"] == f"{p.url}/{made['snapshot']}.mig.tar" and p.ids() == [made["snapshot"]]
    assert p.file(made["snapshot"]).stat().st_size == made["bytes"] and not p.bucket.uploads()
    assert len(documents_in(p.file(made["snapshot"]))) == 20, "read without mig"
    assert made["snapshot"] in p.mig("snapshot", "list").out
    assert "20 documents" in p.mig("snapshot", "show", made["snapshot"][:20]).out
    for name in (made["snapshot"], made["path"]):
        assert p.mig("snapshot", "verify", name).out.startswith("good")
    p.db.users.delete_many({"_id": {"$lt": 7}})
    p.db.users.update_one({"_id": 9}, {"$set": {"name": "changed"}})
    assert "7 missing" in p.mig("snapshot", "diff", made["snapshot"], code=6).out
    p.mig("restore", made["snapshot"], "--yes")
    assert p.digest() == before
    assert sorted(i.split("-")[1] for i in p.ids()) == ["displaced", "manual", "safety"]


def test_encrypted_and_signed_snapshots_lie_in_a_bucket_as_in_a_folder(stored, tmp_path):
    p = stored
    before = p.digest()
    key, private, public = tmp_path / "key", tmp_path / "private.pem", tmp_path / "public.pem"
    key.write_text(os.urandom(32).hex())
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    for file in (key, private):
        file.chmod(0o600)
    made = one(p.mig("snapshot", "create", "--json", "--sign-key", private, MIG_KEY_FILE=key), "snapshot")["snapshot"]
    assert b"user3@example.org" not in p.file(made).read_bytes()
    [signature] = [o for o in p.bucket.objects() if o.endswith(".sig")]
    p.mig("snapshot", "verify", made, "--signer", public, MIG_KEY_FILE=key)
    p.db.users.delete_many({"_id": {"$lt": 7}})
    p.mig("restore", made, "--yes", "--signer", public, MIG_KEY_FILE=key)
    assert p.digest() == before
    three_lines(p.mig("restore", made, "--yes", code=2), "key")
    (p.bucket.folder / signature).unlink()
    three_lines(p.mig("restore", made, "--yes", "--signer", public, code=1, MIG_KEY_FILE=key), "not signed")
    again = one(p.mig("snapshot", "create", "--json", "--sign-key", private, MIG_KEY_FILE=key), "snapshot")["snapshot"]
    p.mig("snapshot", "prune", again)
    assert not [o for o in p.bucket.objects() if again in o], "the signature goes with it"


def test_failed_migration_is_undone_from_the_bucket(stored):
    p = stored
    before = p.digest()
    p.write("0001_bad", fails_late(transaction="off"))
    p.mig("up", code=3)
    assert p.digest() == before and p.status("0001_bad") == "failed" and free(p)
    entry = p.ledger("0001_bad")
    assert entry["restored"] and entry["snapshot"]["path"].startswith(p.url + "/")
    assert entry["snapshot"]["id"] in p.ids()
    assert all(e["outcome"] for e in events(p, name="0001_bad"))


def test_up_down_and_prune_know_what_the_ledger_needs(stored):
    p = stored
    p.write("0001_f", add_field(field="f1"))
    p.mig("up")
    kept = p.ledger("0001_f")["snapshot"]["id"]
    for _ in range(3):
        p.mig("snapshot", "create")
    assert len(p.ids()) == 4
    dry = p.ids()
    p.mig("snapshot", "prune", "--keep-last", "1", "--dry-run")
    assert p.ids() == dry
    p.mig("snapshot", "prune", "--keep-last", "1")
    assert len(p.ids()) == 2 and kept in p.ids()
    three_lines(p.mig("snapshot", "prune", kept, code=1), "ledger needs it")
    p.mig("down")
    assert "f1" not in p.db.users.find_one()


def test_large_archive_goes_in_parts_and_comes_back_by_ranges(stored):
    p = stored
    large(p)
    before = p.digest()
    with S3Proxy(p.bucket.server) as proxy:
        p.endpoint = proxy.url
        made = one(p.mig("snapshot", "create", "--json"), "snapshot")
        parts = [path for method, path, _ in proxy.seen if method == "PUT"]
        assert len(parts) == 3 and all("partNumber=" in path for path in parts)
        p.db.big.delete_many({"_id": {"$gt": 40}})
        proxy.seen.clear()
        p.mig("restore", made["snapshot"], "--yes", "--no-safety-snapshot")
        assert {status for method, path, status in proxy.seen if method == "GET" and path.endswith(".tar")} == {206}
    assert p.digest() == before
    sums = subprocess.check_output(["sha256sum", p.file(made["snapshot"])], text=True).split()[0]
    assert sums == made["sha256"]


def test_dumps_pipes_and_copies_go_through_the_bucket(stored, tmp_path):
    p = stored
    before = p.digest()
    first = one(p.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    p.mig("snapshot", "export", first, tmp_path / "dump")
    imported = one(p.mig("snapshot", "import", tmp_path / "dump", "--json"), "snapshot")["snapshot"]
    assert imported in p.ids() and len(documents_in(p.file(imported))) == 20
    copy = tmp_path / "copy.mig.tar"
    copy.write_bytes(p.file(first).read_bytes())
    p.db.users.delete_many({})
    p.mig("restore", copy, "--yes", "--no-safety-snapshot")
    assert p.digest() == before
    objects = p.bucket.objects()
    piped = subprocess.run([os.environ["MIG_BIN"], "snapshot", "create", "-"], env=p.environment(), cwd=p.folder,
                           capture_output=True, check=True).stdout
    assert p.bucket.objects() == objects, "what was sent away is not kept"
    p.db.users.delete_many({})
    with open(tmp_path / "piped.mig.tar", "wb") as f:
        f.write(piped)
    with open(tmp_path / "piped.mig.tar", "rb") as f:
        subprocess.run([os.environ["MIG_BIN"], "restore", "-", "--yes", "--no-safety-snapshot"], stdin=f, env=p.environment(),
                       cwd=p.folder, capture_output=True, check=True)
    assert p.digest() == before and any("-received-" in i for i in p.ids())


def test_cut_off_pipe_leaves_nothing_in_the_bucket(stored, tmp_path):
    p = stored
    first = one(p.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    before, objects = picture(p), p.bucket.objects()
    (tmp_path / "half").write_bytes(p.file(first).read_bytes()[:-700])
    with open(tmp_path / "half", "rb") as f:
        done = subprocess.run([os.environ["MIG_BIN"], "restore", "-", "--yes"], stdin=f, env=p.environment(), cwd=p.folder,
                              capture_output=True, text=True)
    assert done.returncode == 1 and "not a whole snapshot" in done.stderr
    assert p.bucket.objects() == objects and not p.bucket.uploads() and picture(p) == before


def test_list_goes_over_all_pages_and_passes_foreign_names_over(stored):
    p = stored
    first = one(p.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    folder = p.file(first).parent
    content = p.file(first).read_bytes()
    for n in range(1005):
        p.file(f"20250101T000000Z-many-{n:06x}").write_bytes(b"no archive")
    for n in range(2):
        p.copy(first, f"20250101T000000Z-many-{n:06x}")
    for name in ("notes.txt", "evil name.mig.tar", "..%2f..%2fx.mig.tar", "a\nb.mig.tar", ".hidden.mig.tar"):
        (folder / name).write_bytes(b"mine")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "20250101T000000Z-deep-000000.mig.tar").write_bytes(content)
    (folder.parent / "20250101T000000Z-above-000000.mig.tar").write_bytes(content)
    with S3Proxy(p.bucket.server) as proxy:
        p.endpoint = proxy.url
        found = p.mig("snapshot", "prune", "--keep-last", "1", "--dry-run", "--json").out
        assert any("continuation-token=" in path for _, path, _ in proxy.seen)
        p.endpoint = None
    assert found.count("-many-") == 1005 and first in found
    for name in ("notes", "evil", "%2f", "hidden", "deep", "above"):
        assert name not in found
    p.mig("snapshot", "prune", "20250101T000000Z-many-000001")
    assert (folder / "notes.txt").exists() and not p.file("20250101T000000Z-many-000001").exists()
    assert p.file("20250101T000000Z-many-000000").exists()


def test_store_of_the_project_file_and_doctor(stored):
    p = stored
    (p.folder / "sub").mkdir()
    (p.folder / "sub" / "mig.json").write_text(json.dumps({"store": p.url, "dir": "../migrations"}))
    p.mig("snapshot", "create", "--config", "sub/mig.json", MIG_STORE="")
    assert len(p.ids()) == 1 and not list(p.folder.rglob("*.mig.tar"))
    checks = {line["check"]: line for line in p.mig("doctor", "--json", code=None).lines if "check" in line}
    assert checks["store"]["state"] == "ok" and p.url in checks["store"]["note"]
    checks = {line["check"]: line for line in
              p.mig("doctor", "--json", code=None, MIG_STORE="s3://no-such-bucket/x").lines if "check" in line}
    assert checks["store"]["state"] == "bad" and "NoSuchBucket" in checks["store"]["note"]


@pytest.mark.parametrize("prefix", ["", "/", "/a/b/", "/+&=@:$,'(x)!*~;", "/äöü/日本", "/..."])
def test_any_prefix_is_signed_listed_and_read(prefix, stored):
    p = stored
    p.url = f"s3://{p.bucket.name}{prefix}"
    made = one(p.mig("snapshot", "create", "--json"), "snapshot")
    [name] = p.bucket.objects()
    assert name == f"{prefix.strip('/')}/{made['snapshot']}.mig.tar".lstrip("/")
    assert made["path"] == f"s3://{p.bucket.name}/{name}"
    assert made["snapshot"] in p.mig("snapshot", "list").out
    p.mig("snapshot", "verify", made["path"], made["snapshot"])
    p.mig("snapshot", "prune", made["snapshot"])
    assert p.bucket.objects() == []


def test_free_space_of_a_bucket_cannot_be_asked_for(stored):
    p = stored
    p.write("0001_f", add_field(guards=[{"storeSpace": {"min": "1 MB"}}]))
    before = picture(p)
    three_lines(p.mig("up", code=2), "bucket", "storeSpace")
    assert picture(p)["users"] == before["users"]


REFUSED = {
    "wrong secret": ({"AWS_SECRET_ACCESS_KEY": "Wr0ngSecret4711"}, ["SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"], 1),
    "no credentials": ({"AWS_ACCESS_KEY_ID": ""}, ["AWS_ACCESS_KEY_ID"], 2),
    "blank in the secret": ({"AWS_SECRET_ACCESS_KEY": "Wr0ngSecret4711 x"}, ["AWS_SECRET_ACCESS_KEY"], 2),
    "wrong token": ({"AWS_SESSION_TOKEN": "Wr0ngSecret4711"}, ["InvalidToken", "AWS_SESSION_TOKEN"], 1),
    "wrong region": ({"AWS_REGION": "eu-nowhere-7"}, ["AWS_REGION"], 1),
    "no bucket": ({"MIG_STORE": "s3://no-such-bucket/x"}, ["s3://no-such-bucket/x", "NoSuchBucket"], 1),
    "no server": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ["127.0.0.1:9", "connect"], 1),
    "bad endpoint": ({"AWS_ENDPOINT_URL": "http://user:Wr0ngSecret4711@127.0.0.1:9"}, ["AWS_ENDPOINT_URL"], 2),
    "endpoint of its own": ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, ["127.0.0.1:9"], 1),
    "credentials in the URL": ({"MIG_STORE": "s3://AKIA:Wr0ngSecret4711@bucket/x"}, ["s3://BUCKET/PREFIX"], 2),
    "prefix out of the bucket": ({"MIG_STORE": "s3://bucket/a/../b"}, ["s3://BUCKET/PREFIX"], 2),
}


@pytest.mark.parametrize("case", REFUSED)
def test_store_that_cannot_be_used_is_refused_before_anything_changes(case, stored):
    p = stored
    p.write("0001_bad", fails_late(transaction="off"))
    changes, words, code = REFUSED[case]
    before = p.digest()
    unreachable = "127.0.0.1:9" in words  # each command tries for some seconds
    for command in (["up"], ["snapshot", "create"], ["snapshot", "list"])[:1 if unreachable else 3]:
        result = p.mig(*command, code=code, **changes)
        three_lines(result, *words)
        for secret in (SECRET, "Wr0ngSecret4711", "Authorization:", "Signature="):
            assert secret not in result.out + result.err
    assert p.digest() == before and not p.bucket.objects() and free(p)


def test_credentials_are_shown_and_kept_nowhere(stored):
    p = stored
    p.write("0001_f", add_field())
    p.write("0002_bad", fails_late(transaction="off"))
    made = one(p.mig("snapshot", "create", "--json"), "snapshot")["snapshot"]
    commands = [["doctor"], ["plan"], ["up"], ["status"], ["history"], ["down"], ["snapshot", "list"], ["snapshot", "show", made],
                ["snapshot", "verify", made], ["restore", made, "--yes"], ["restore", "nothing"], ["metrics"], ["recover"]]
    results = [p.mig(*c, *more, code=None) for c in commands for more in (["--verbose"], ["--json"])]
    assert {r.code for r in results} >= {0, 3}, "good ones and bad ones"
    for secret in (SECRET, ACCESS):
        for result in results:
            assert secret not in result.out + result.err
        for path in [f for f in (*p.folder.rglob("*"), *p.bucket.folder.rglob("*")) if f.is_file()]:
            assert secret.encode() not in path.read_bytes(), path
        for name, content in picture(p).items():
            assert secret.encode() not in repr(content).encode(), name


def test_command_line_of_a_running_mig_holds_no_credentials(stored):
    p = stored
    seen = []

    def look(handler, body):
        lines = [(f.read_bytes() if f.exists() else b"") for f in pathlib.Path("/proc").glob("[0-9]*/cmdline")]
        seen.append(b"\n".join(line for line in lines if p.url.encode() in line).decode())
        handler.pass_on(body)
    with S3Proxy(p.bucket.server, [Fault(look, method="POST")]) as proxy:
        p.mig("snapshot", "create", "--store", p.url, AWS_ENDPOINT_URL=proxy.url)
    assert seen and p.url in seen[0] and SECRET not in seen[0] and ACCESS not in seen[0]


def test_another_machine_recovers_from_the_bucket(stored, tmp_path):
    """What the ledger holds is enough: no file of the machine that died is needed."""
    p = stored
    before = p.digest()
    p.write("0001_bad", {"up": fails_late()["up"][:3], "transaction": "off"})
    p.mig("up", code=None, MIG_CRASH_AT="step_end:2")
    assert p.digest() != before
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run([os.environ["MIG_BIN"], "recover", "--yes"], cwd=elsewhere, env=p.environment(), capture_output=True,
                          text=True)
    if "lease" in done.stderr:  # of another host: it cannot see that the process is dead
        subprocess.run([os.environ["MIG_BIN"], "force-unlock", "--confirm"], cwd=elsewhere, env=p.environment(), check=True)
        done = subprocess.run([os.environ["MIG_BIN"], "recover", "--yes"], cwd=elsewhere, env=p.environment(),
                              capture_output=True, text=True)
    assert done.returncode == 0, done
    assert p.digest() == before and p.status("0001_bad") == "failed"

"""A server with users: who may not is told so, and no password is ever shown or kept."""
import os
import pathlib
import subprocess
import urllib.parse

import pymongo
import pytest

from cli_support import DESTRUCTIVE, add_field, add_users, fails_late, picture, snapshots, three_lines
from conftest import Project

def password(uri):
    return urllib.parse.unquote(urllib.parse.urlsplit(uri).password)


def replaced(uri, secret):
    return uri.replace(urllib.parse.urlsplit(uri).password, secret)


@pytest.fixture
def secure(users, tmp_path):
    p = Project(users["admin"], tmp_path)
    yield p
    p.close()


def shown_nowhere(secret, p, results):
    secret = secret.encode()
    for result in results:
        assert secret not in (result.out + result.err).encode(), result
    for path in p.folder.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path
    for path in snapshots(p):  # and not below the compression
        raw = subprocess.run(f"tar -xOf '{path}' --wildcards '*.zst' | zstd -dcq", shell=True, capture_output=True)
        assert secret not in raw.stdout, path
    for name, content in picture(p).items():
        assert secret not in repr(content).encode(), name


def test_password_is_shown_and_kept_nowhere(secure):
    p = secure
    add_users(p)
    p.write("0001_cut", {"up": DESTRUCTIVE, "down": [{"delete": {"collection": "users", "filter": {"_id": 100}}}]})
    p.write("0002_bad", fails_late(transaction="off"))
    commands = [["doctor"], ["plan"], ["up"], ["status"], ["history"], ["validate"], ["down"], ["snapshot", "create"],
                ["snapshot", "list"], ["snapshot", "verify", "20"], ["restore", "20"], ["lock-status"], ["nonsense"],
                ["force-unlock", "--confirm"], ["recover"], ["init"], ["create", "x"], ["list"]]
    results = [p.mig(*c, *more, code=None) for c in commands for more in (["--verbose"], ["--json"])]
    assert {r.code for r in results} >= {0, 2, 3}, "good ones and bad ones"
    shown_nowhere(password(p.uri), p, results)


def test_wrong_password_is_told_with_a_hint_and_not_shown(secure):
    p = secure
    add_users(p)
    p.write("0001_f", add_field())
    before = picture(p)
    wrong = "Wr0ng-Passw0rd-4711"
    results = [p.mig(*c, uri=replaced(p.uri, wrong), code=1) for c in (["up"], ["status"], ["doctor"], ["up", "--json"])]
    for result in results:
        three_lines(result, "check user, password and authSource")
    assert picture(p) == before
    shown_nowhere(wrong, p, results)


def test_user_without_rights_is_told_with_a_hint_and_changes_nothing(secure, users):
    if not users["reader"]:
        pytest.skip("this server has no user who may only read")
    p = secure
    add_users(p)
    p.write("0001_f", add_field())
    with pytest.raises(pymongo.errors.PyMongoError):  # does the server keep its word?
        pymongo.MongoClient(users["reader"])[p.name].users.insert_one({"_id": "reader"})
    before = picture(p)
    result = p.mig("up", uri=users["reader"], code=1)
    three_lines(result, p.name, "readWrite")
    assert picture(p) == before
    shown_nowhere(password(users["reader"]), p, [result])
    p.mig("plan", uri=users["reader"])
    p.mig("status", uri=users["reader"])


@pytest.mark.parametrize("args", [["--uri", "mongodb://ann:{}@127.0.0.1/x", "up"], ["up", "--uri=mongodb://ann:{}@h/x"],
                                  ["up", "--url=mongodb://ann:{}@h/x"], ["mongodb://ann:{}@h/x"],
                                  ["up", "mongodb://ann:{}@h"],
                                  ["status", "--uri", "mongodb://h/?tlsCertificateKeyFilePassword={}"],
                                  ["status", "--uri", "mongodb+srv://ann:p@{}@h/x"]])
@pytest.mark.parametrize("secret", ["hush-hush", "S" * 80], ids=["short", "long"])
def test_password_on_the_command_line_is_refused_and_not_shown(project, args, secret):
    for more in ([], ["--json"]):
        result = project.mig(*[a.format(secret) for a in args], *more, code=2)
        three_lines(result, "password does not belong", "MIG_URI")
        assert secret[:20] not in result.out + result.err


def test_user_without_password_on_the_command_line_is_fine(project):
    project.mig("list", "--uri", "mongodb://ann@h/x?authMechanism=MONGODB-X509")


def test_settings_file_with_a_password_that_others_may_read_is_warned_of(project):
    path = project.folder / "mig.json"
    path.write_text('{"uri": "mongodb://ann:hush-hush@127.0.0.1/x"}')
    for mode, warned in ((0o644, True), (0o600, False)):
        path.chmod(mode)
        result = project.mig("list", MIG_URI="")
        assert ("chmod 600" in result.err) is warned and "hush" not in result.out + result.err

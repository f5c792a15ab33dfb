# shellcheck shell=bash
#
# replset.sh - what a mongod must be told once it runs: its replica set, its users
#
#     replset_ready DIR NAME PORT     initiates the set of one, or tells it its new port; waits until it is writable
#     replset_users DIR PORT          users admin (may all) and reader (may read all); passwords in DIR/password.*
#     mongo_version URI               prints the server's version; fails if nobody answers at URI
#
# Done with pymongo of the test venv: a machine that has mongod need not have its shell.
# Passwords and URIs travel in the environment, where other users don't see them.

replset_ready() {
  local python
  python=$(test_venv)
  MIG_ADMIN=$(cat "$1/password.admin" 2>/dev/null || true) "$python" - "$2" "$3" <<'PY' ||
import os, sys, time
import pymongo
from pymongo.errors import OperationFailure

name, host, password = sys.argv[1], "127.0.0.1:" + sys.argv[2], os.environ["MIG_ADMIN"]
UNAUTHORIZED, AUTHENTICATION_FAILED, ALREADY_INITIALIZED, NOT_YET_INITIALIZED = 13, 18, 23, 94
config = {"_id": name, "members": [{"_id": 0, "host": host}]}

def client(**login):
    return pymongo.MongoClient(host, directConnection=True, serverSelectionTimeoutMS=60000, **login).admin

def initiate():
    try:
        client().command("replSetInitiate", config)
    except OperationFailure as error:
        if error.code not in (ALREADY_INITIALIZED, UNAUTHORIZED):
            raise
        rename()

# It was initiated by an earlier start, under another port: then it finds itself in no set.
def rename():
    admin = client(username="admin", password=password) if password else client()
    try:
        found = admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        # Still loading, or killed before it had users: if its port is the same, it comes up by itself.
        if error.code in (UNAUTHORIZED, AUTHENTICATION_FAILED, NOT_YET_INITIALIZED):
            return
        raise
    if found["members"][0]["host"] != host:
        found["members"] = [{**found["members"][0], "host": host}]
        found["version"] += 1
        admin.command("replSetReconfig", found, force=True)

hello = client()
for patience in range(600):
    state = hello.command("isMaster")
    if state.get("ismaster") and state.get("me") == host:
        sys.exit(0)
    if state.get("isreplicaset"):
        initiate()
    time.sleep(0.1)
sys.exit("no primary within 60 s")
PY
    die "the replica set does not get ready; see $1/log"
}

replset_users() {
  local python
  python=$(test_venv)
  secret_file "$1/password.admin"
  secret_file "$1/password.reader"
  MIG_ADMIN=$(<"$1/password.admin") MIG_READER=$(<"$1/password.reader") "$python" - "$2" <<'PY' ||
import os, sys
import pymongo

host, password = "127.0.0.1:" + sys.argv[1], os.environ["MIG_ADMIN"]
try:
    # Allowed from this machine as long as there is no user.
    pymongo.MongoClient(host, directConnection=True).admin.command("createUser", "admin", pwd=password, roles=["root"])
except pymongo.errors.OperationFailure as error:
    if error.code not in (13, 51003):  # there are users: from an earlier start, with the same passwords
        raise
admin = pymongo.MongoClient(host, directConnection=True, username="admin", password=password).admin
try:
    admin.command("createUser", "reader", pwd=os.environ["MIG_READER"], roles=["readAnyDatabase"])
except pymongo.errors.OperationFailure as error:
    if error.code != 51003:
        raise
PY
    die "cannot create the users; see $1/log"
}

mongo_version() {
  local python
  python=$(test_venv)
  MIG_PROBE=$1 "$python" - <<'PY'
import os, sys
import pymongo

try:
    client = pymongo.MongoClient(os.environ["MIG_PROBE"], serverSelectionTimeoutMS=30000)
    client.admin.command("ping")
    print(client.admin.command("buildInfo")["version"])
except Exception as error:
    sys.exit(f"{type(error).__name__}: {str(error)[:300]}")
PY
}

"""C modules: what they can do, and that nothing they do to themselves reaches the data."""
import hashlib
import os
import signal
import subprocess
import time

import pytest

import conftest
from cli_support import add_users, one, picture, snapshots, three_lines, wait_for
from module_support import EXAMPLES, HALF_WAY, example, module


class ModuleProject(conftest.Project):
    cache = None

    def environment(self, uri=None, **extra):
        # a crash shall be one in a build with sanitizers, too
        return super().environment(uri, **{"MIG_MODULE_CACHE": self.cache, "ASAN_OPTIONS": "handle_segv=0", **extra})

    def write_module(self, name, text):
        path = self.migrations / f"{name}.c"
        path.write_text(text)
        return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("modules") / "cache"


@pytest.fixture
def p(tmp_path, cache):
    made = ModuleProject(conftest.server_uri("MIG_TEST_URI"), tmp_path)
    made.cache = cache
    yield made
    made.close()


@pytest.fixture
def txn(transactional_uri, tmp_path, cache):
    made = ModuleProject(transactional_uri, tmp_path)
    made.cache = cache
    yield made
    made.close()


def children_of(pid):
    """Processes whose parent is pid, and those whose command line is that of a module's host."""
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()[1:]]
    return [int(r[0]) for r in rows if int(r[1]) == pid and "--module-host" in r[2]]


def restored(p, name, before, result, *words):
    """Something was written, the run failed, and everything is as it was."""
    assert p.digest("users") == before
    assert p.status(name) == "failed" and p.ledger(name)["restored"] is True
    three_lines(result, *words)


# ---- the examples -------------------------------------------------------------------------------------------------


def phones(p):
    p.db.users.insert_many([{"_id": 1, "phone": "(030) 123-4567"}, {"_id": 2, "phone": "0044 20 7946 0000"},
                            {"_id": 3, "phone": "n/a"}, {"_id": 4, "phone": 5}, {"_id": 5}])


def test_example_of_a_transform_runs_arbitrary_code_over_each_document(p):
    phones(p)
    example(p, "0010_normalise-phones.c")
    before = p.digest("users")
    result = p.mig("up")
    assert "2 numbers in one form, 1 that are none" in result.err
    assert [u.get("phone") for u in p.db.users.find().sort("_id")] == ["+49301234567", "+442079460000", None, 5, None]
    entry = p.ledger("0010_normalise-phones")
    source = (p.migrations / "0010_normalise-phones.c").read_bytes()
    assert entry["kind"] == "module" and entry["version"] == "1.10.0" and entry["reversible"] is True
    assert entry["checksum"] == hashlib.sha256(source).hexdigest()
    p.mig("down")
    assert p.digest("users") == before


def test_example_of_an_index_set_is_built_and_copies_what_its_ttl_index_may_remove(p):
    p.db.orders.insert_many([{"_id": i, "number": i, "customer": i % 3} for i in range(30)])
    example(p, "0011_order-indexes.c")
    before = p.digest("orders")
    forecast = one(p.mig("up", "--dry-run", "--json"), "migration")
    assert forecast["collections"] == ["orders"] and forecast["snapshot"]["documents"] == 30
    p.mig("up")
    info = p.db.orders.index_information()
    assert set(info) == {"_id_", "customer_placed", "open_orders", "number_unique", "drafts_expire"}
    assert info["number_unique"]["unique"] and info["drafts_expire"]["expireAfterSeconds"] == 2592000
    p.mig("down")
    assert p.digest("orders") == before


def test_example_of_an_index_set_builds_nothing_when_one_is_there(p):
    p.db.orders.insert_one({"_id": 1, "number": 1})
    p.db.orders.create_index([("placedAt", 1)], name="open_orders", partialFilterExpression={"status": "open"})
    example(p, "0011_order-indexes.c")
    three_lines(p.mig("up", code=1), "open_orders is there already")
    assert set(p.db.orders.index_information()) == {"_id_", "open_orders"}


def orders(p):
    p.db.orders.insert_many([{"_id": i, "lines": [{"sku": f"s{n}", "qty": n + 1, "price": 2.5} for n in range(i % 4)]}
                             for i in range(50)])


def test_example_that_restructures_collections_goes_there_and_back(p):
    orders(p)
    example(p, "0012_split-orders.c")
    before = p.digest("orders")
    result = one(p.mig("up", "--json"), "migration")
    assert result["outcome"] == "applied"
    assert p.db.order_lines.count_documents({}) == sum(i % 4 for i in range(50))
    assert p.db.orders.find_one({"_id": 3}) == {"_id": 3, "lineCount": 3, "total": 15.0}
    assert p.db.order_lines.find_one({"_id": "3/1"}) == {"_id": "3/1", "order": 3, "line": 1, "sku": "s1", "qty": 2,
                                                         "price": 2.5}
    assert len(snapshots(p)) == 1, "the copy that the module took was dropped again"
    p.mig("down")
    assert p.digest("orders") == before and "order_lines" not in p.db.list_collection_names()


def test_example_that_restructures_is_undone_when_a_line_is_bad(p):
    orders(p)
    p.db.orders.insert_one({"_id": 999, "lines": [{"sku": "s", "qty": "many"}]})
    example(p, "0012_split-orders.c")
    before = p.digest()
    result = p.mig("up", code=3)
    assert p.digest() == before and "order_lines" not in p.db.list_collection_names()
    three_lines(result, "line 0 of an order has no qty or price")


def test_examples_need_nothing_but_the_public_header(tmp_path):
    for path in sorted(EXAMPLES.glob("*.c")):
        text = path.read_text()
        includes = {line.split()[1] for line in text.splitlines() if line.startswith("#include")}
        assert "<mig.h>" in includes and not any(i.startswith('"') or "bson" in i or "mongoc" in i for i in includes)


# ---- services -----------------------------------------------------------------------------------------------------


def test_backup_restore_and_drop_of_one_collection(p):
    add_users(p)
    p.write_module("0001_copies", module(HALF_WAY.replace("if (!", "char id[MIG_BACKUP_ID];\n  int64_t n = 0;\n  "
                   'if (!mig_ctx_backup(ctx, "users", id)) return false;\n  if (!', 1) + """
  if (!mig_ctx_count(ctx, "users", mig_ctx_doc(ctx, "{'email': 'gone'}"), &n)) return false;
  if (n != 5) return mig_ctx_fail(ctx, "%d changed", (int)n);
  mig_ctx_log(ctx, "backup %s", id);
  return mig_ctx_restore(ctx, id) && mig_ctx_drop_backup(ctx, id);
""", writes=["users"], transaction="off"))
    before = p.digest("users")
    result = p.mig("up")
    assert p.digest("users") == before and "0001_copies: backup 2" in result.err
    kept = [s.name for s in snapshots(p)]
    assert len([k for k in kept if "displaced" not in k]) == 1, kept


def test_stats_exists_count_query_and_types_of_values(p):
    add_users(p)
    p.write_module("0001_look", module("""
  bool there = false, none = true, holds = true;
  int64_t documents = 0, bytes = 0, n = 0;
  const char *why = "";
  if (!mig_ctx_exists(ctx, "users", &there) || !mig_ctx_exists(ctx, "nothing", &none) ||
      !mig_ctx_stats(ctx, "users", &documents, &bytes) ||
      !mig_ctx_count(ctx, "users", mig_ctx_doc(ctx, "{'age': {'$gte': %i}}", 14), &n) ||
      !mig_ctx_query(ctx, mig_ctx_doc(ctx, "{'aggregate': 'users', 'pipeline': [{'$match': {'age': {'$gt': 7}}}]}"), see, &seen) ||
      !mig_ctx_check(ctx, mig_ctx_doc(ctx, "{'fieldAbsent': {'collection': 'users', 'field': 'age'}}"), &holds, &why))
    return false;
  mig_ctx_log(ctx, "%d %d %d %d %d %d %s", there, none, (int)documents, bytes > 0, (int)n, seen, holds ? "holds" : why);
  mig_doc made = mig_ctx_doc(ctx, "{'_id': 'made', 's': %s, 'none': %s, 'i': %i, 'l': %l, 'f': %f, 'b': %b, 't': %t,"
    " 'd': %d, \\"quote'd\\": 'it\\\\'s \\"so\\"', 'percent': '100%'}", "a'b\\"c", (char *)NULL, -1, INT64_C(1) << 40, 0.5, 1,
    INT64_C(1000), mig_ctx_doc(ctx, "{'x': [1]}"));
  return mig_ctx_insert(ctx, "made", made);
""", before="""static int seen;
static bool see(mig_ctx *ctx, mig_doc doc, void *arg) { (void)ctx, (void)doc; ++*(int *)arg; return true; }""",
        reads=["users", "nothing"], writes=["made"]))
    result = p.mig("up")
    assert "0001_look: 1 0 5 1 3 3 " in result.err and "age" in result.err
    made = p.db.made.find_one()
    assert made.pop("t").timestamp() == 1
    assert made == {"_id": "made", "s": "a'b\"c", "none": None, "i": -1, "l": 1 << 40, "f": 0.5, "b": True,
                    "d": {"x": [1]}, "quote'd": "it's \"so\"", "percent": "100%"}


def test_transform_removes_documents_and_crosses_batches(p):
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(2500)])
    p.write_module("0001_third", module('return mig_ctx_transform(ctx, "users", MIG_ALL, third, NULL);', before="""
static bool third(mig_ctx *ctx, mig_doc doc, mig_doc *after, void *arg) {
  int64_t n = 0;
  (void)arg;
  mig_doc_int(doc, "n", &n);
  if (n % 3 == 0) *after = MIG_REMOVE;
  if (n % 3 == 1) *after = mig_ctx_merge(ctx, doc, mig_ctx_doc(ctx, "{'n': %l, 'seen': true}", n * 2));
  return true;
}""", writes=["users"]))
    p.mig("up")
    expected = [{"_id": i, "n": i * 2, "seen": True} if i % 3 == 1 else {"_id": i, "n": i}
                for i in range(2500) if i % 3]
    assert list(p.db.users.find().sort("_id")) == expected


def test_transform_refuses_another_id(p):
    add_users(p)
    before = p.digest("users")
    p.write_module("0001_id", module('return mig_ctx_transform(ctx, "users", MIG_ALL, other, NULL);', before="""
static bool other(mig_ctx *ctx, mig_doc doc, mig_doc *after, void *arg) {
  (void)arg; *after = mig_ctx_merge(ctx, doc, mig_ctx_doc(ctx, "{'_id': 'other'}")); return true; }""", writes=["users"]))
    result = p.mig("up", code=None)
    assert result.code in (1, 3) and p.digest("users") == before
    three_lines(result, "changed the _id")


def test_module_commits_with_its_record_in_a_transaction(txn):
    add_users(txn)
    txn.write_module("0001_txn", module(HALF_WAY + "return true;", writes=["users"], transaction="required"))
    result = one(txn.mig("up", "--json"), "migration")
    assert result["transaction"] == "used" and result["outcome"] == "applied"
    assert {u["email"] for u in txn.db.users.find()} == {"gone"}


def test_crash_in_a_transaction_is_aborted_and_nothing_is_restored(txn):
    add_users(txn)
    before = txn.digest("users")
    txn.write_module("0001_txn", module(HALF_WAY + "abort();", writes=["users"], transaction="required"))
    txn.mig("up", code=1)
    assert txn.digest("users") == before and txn.status("0001_txn") == "failed"


def test_backup_is_refused_in_a_transaction(txn):
    add_users(txn)
    txn.write_module("0001_txn", module('char id[MIG_BACKUP_ID]; return mig_ctx_backup(ctx, "users", id);',
                                        writes=["users"], transaction="required"))
    three_lines(txn.mig("up", code=1), "in a transaction", '.transaction = "off"')


# ---- what a module may not -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [
    """mig_ctx_insert(ctx, "secrets", mig_ctx_doc(ctx, "{'_id': 1}"))""",
    """mig_ctx_step(ctx, mig_ctx_doc(ctx, "{'delete': {'collection': 'secrets', 'filter': {}}}"))""",
    """mig_ctx_step(ctx, mig_ctx_doc(ctx, "{'renameCollection': {'from': 'secrets', 'to': 'users2'}}"))""",
    """mig_ctx_command(ctx, mig_ctx_doc(ctx, "{'delete': 'secrets', 'deletes': [{'q': {}, 'limit': 0}]}"), NULL)""",
    """mig_ctx_command(ctx, mig_ctx_doc(ctx, "{'aggregate': 'users', 'pipeline': [{'$out': 'secrets'}], 'cursor': {}}"), NULL)""",
    """mig_ctx_transform(ctx, "secrets", MIG_ALL, NULL, NULL)""",
    """mig_ctx_query(ctx, mig_ctx_doc(ctx, "{'aggregate': 'users', 'pipeline': [{'$out': 'users'}]}"), NULL, NULL)""",
    """mig_ctx_command(ctx, mig_ctx_doc(ctx, "{'drop': 'migrationlogs'}"), NULL)""",
])
def test_undeclared_collections_are_refused_wherever_they_pass(p, call):
    add_users(p)
    p.db.secrets.insert_many([{"_id": i} for i in range(3)])
    before = p.digest()
    p.write_module("0001_bad", module(HALF_WAY + f"{call}; return true; /* it looks away */", writes=["users"],
                                      transaction="off"))
    p.mig("up", code=3)
    assert p.digest() == before and p.status("0001_bad") == "failed"


PLAIN_INDEX = "{'createIndex': {'collection': 'users', 'key': {'age': 1}}}"
TTL_INDEX = "{'createIndex': {'collection': 'users', 'key': {'at': 1}, 'options': {'expireAfterSeconds': 60}}}"
TTL_COMMAND = "{'collMod': 'users', 'index': {'name': 'age_1', 'expireAfterSeconds': 60}}"


def test_module_that_declares_indexes_copies_no_documents_and_builds_plain_ones(p):
    add_users(p)
    p.write_module("0001_m", module(f'return mig_ctx_step(ctx, mig_ctx_doc(ctx, "{PLAIN_INDEX}"));', indexes=["users"]))
    assert one(p.mig("up", "--dry-run", "--json"), "migration")["snapshot"]["documents"] == 0
    p.mig("up")
    assert "age_1" in p.db.users.index_information()


@pytest.mark.parametrize("call", [f'mig_ctx_step(ctx, mig_ctx_doc(ctx, "{TTL_INDEX}"))',
                                  f'mig_ctx_command(ctx, mig_ctx_doc(ctx, "{TTL_COMMAND}"), NULL)'])
def test_module_that_declares_only_indexes_cannot_let_documents_expire(p, call):
    add_users(p)
    before = p.digest()
    plain = f'if (!mig_ctx_step(ctx, mig_ctx_doc(ctx, "{PLAIN_INDEX}"))) return false;'
    p.write_module("0001_m", module(f"{plain} return {call};", indexes=["users"]))
    three_lines(p.mig("up", code=3), "write to", "TTL", ".writes")
    assert p.digest() == before


def test_module_that_declares_mig_s_own_collections_is_refused(p):
    p.write_module("0001_bad", module("return true;", writes=["migrationlogs"]))
    three_lines(p.mig("up", code=2), "migrationlogs", "no migration may touch")


def test_module_sees_no_secret_and_no_connection(p):
    p.write_module("0001_look", module("""
  extern char **environ;
  for (char **e = environ; *e; e++) if (!strncmp(*e, "MIG_", 4) || strstr(*e, "s3cret")) return mig_ctx_fail(ctx, "it sees %s", *e);
  for (int fd = 4; fd < 1000; fd++) if (lseek(fd, 0, SEEK_CUR) != -1 || fcntl(fd, F_GETFD) != -1)
    return mig_ctx_fail(ctx, "descriptor %d is open", fd);
  return true;
""", before="#include <fcntl.h>"))
    p.mig("up", AWS_ACCESS_KEY_ID="s3cret", AWS_SECRET_ACCESS_KEY="s3cret", AWS_SESSION_TOKEN="s3cret")


def test_what_a_module_prints_is_told_and_does_not_mix_with_results(p):
    p.write_module("0001_chatty", module('printf("hello from the module\\n"); fprintf(stderr, "and stderr\\n"); return true;'))
    result = p.mig("up", "--json")
    assert "0001_chatty | hello from the module" in result.err and "0001_chatty | and stderr" in result.err
    assert result.lines[-1]["exit"] == 0


# ---- what happens to it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end, words", [
    ("*(volatile int *)0 = 1;", "crashed (signal 11"),
    ("abort();", "crashed (signal 6"),
    ("exit(0);", "ended itself with exit code 0"),
    ("_exit(7);", "ended itself with exit code 7"),
    ("raise(SIGKILL);", "was killed (signal 9"),
    ("return mig_ctx_fail(ctx, \"the %s is wrong\", \"moon\");", "the moon is wrong"),
    ("return false;", "up() returned false"),
    ("mig_ctx_doc(ctx, \"{'a': }\"); return true;", "mig_ctx_doc"),
    ("for (int i = 0; i < 1000; i++) if (write(3, \"\\377\\377\\377\\377 garbage\", 12) < 0) break; sleep(20);", "makes no sense"),
    ("mig_ctx_step(ctx, mig_ctx_doc(ctx, \"{'update': {'collection': 'users', 'filter': {'_id': 3}, 'update': {'$inc': {'name': 1}}}}\")); return true;",
     "module 0001_end, update"),
    ("close(3); sleep(20);", "closed its connection"),
])
def test_module_that_ends_badly_takes_no_data_with_it(p, end, words):
    add_users(p)
    before = p.digest("users")
    p.write_module("0001_end", module(HALF_WAY + end + " return true;", before="#include <signal.h>", writes=["users"],
                                      transaction="off"))
    began = time.monotonic()
    restored(p, "0001_end", before, p.mig("up", code=3), words)
    assert time.monotonic() - began < 18


def test_module_that_corrupts_its_memory_takes_no_data_with_it(p):
    add_users(p)
    before = p.digest("users")
    p.write_module("0001_wild", module(HALF_WAY + """
  for (unsigned char *b = (unsigned char *)ctx; ; b++) *b = (unsigned char)(size_t)b;
""", writes=["users"], transaction="off"))
    restored(p, "0001_wild", before, p.mig("up", code=3), "crashed")


def test_module_that_crashes_while_it_is_loaded_is_an_input_error(p):
    p.write_module("0001_early", module("return true;", before="__attribute__((constructor)) static void f(void) { abort(); }"))
    three_lines(p.mig("up", code=2), "migrations/0001_early.c", "crashed (signal 6")


def test_module_that_hangs_is_ended_after_its_silence(p):
    add_users(p)
    before = p.digest("users")
    p.write_module("0001_hang", module(HALF_WAY + "for (;;) sleep(1);", writes=["users"], transaction="off", silence_ms=700))
    restored(p, "0001_hang", before, p.mig("up", code=3), "it hangs", "700 ms")


def test_sigint_stops_a_module_that_loops_for_ever_and_the_data_is_restored(p):
    add_users(p)
    before = p.digest("users")
    p.write_module("0001_loop", module(HALF_WAY + "signal(SIGINT, SIG_IGN); for (volatile int i = 0; ; i++);",
                                       before="#include <signal.h>", writes=["users"], transaction="off"))
    running = p.start("up")
    wait_for(lambda: p.db.users.find_one({"email": "gone"}) and children_of(running.pid))
    child = children_of(running.pid)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130 and p.digest("users") == before and p.status("0001_loop") == "failed"
    assert not any(os.path.exists(f"/proc/{c}") for c in child)


def test_killed_module_is_undone(p):
    add_users(p)
    before = p.digest("users")
    p.write_module("0001_loop", module(HALF_WAY + "for (;;) sleep(1);", writes=["users"], transaction="off"))
    running = p.start("up")
    wait_for(lambda: p.db.users.find_one({"email": "gone"}) and children_of(running.pid))
    os.kill(children_of(running.pid)[0], signal.SIGKILL)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 3 and "was killed (signal 9" in err and p.digest("users") == before


def test_kill_of_mig_leaves_no_module_that_writes_and_recover_restores(p):
    add_users(p)
    before = p.digest("users")
    # every write goes through mig; a forked-off grandchild, too, has nobody left to ask
    p.write_module("0001_fork", module(HALF_WAY + """
  if (fork() == 0) setsid();
  for (;;) { sleep(1); mig_ctx_insert(ctx, "users", mig_ctx_doc(ctx, "{'late': true}")); mig_ctx_progress(ctx, "x", 1, 0); }
""", writes=["users"], transaction="off"))
    running = p.start("up")
    wait_for(lambda: p.db.users.find_one({"email": "gone"}) and children_of(running.pid))
    child = children_of(running.pid)[0]
    running.kill()
    running.communicate()
    wait_for(lambda: not os.path.exists(f"/proc/{child}") or "Z" in open(f"/proc/{child}/stat").read().split()[2])
    assert p.status("0001_fork") == "running"
    time.sleep(2.5)
    assert p.db.users.count_documents({"late": True}) == 0
    p.mig("recover")
    assert p.digest("users") == before and p.status("0001_fork") == "failed"


@pytest.mark.parametrize("point", ["step_begin:1", "step_batch:1", "step_end:1"])
def test_module_run_survives_kill_at_each_point_of_a_step(p, point):
    add_users(p)
    before = p.digest("users")
    p.write_module("0001_m", module(HALF_WAY + "return true;", writes=["users"], transaction="off"))
    p.mig("up", code=-9, MIG_CRASH_AT=point)
    p.mig("recover")
    assert p.digest("users") == before and p.status("0001_m") == "failed"
    p.mig("up")
    assert p.status("0001_m") == "applied"


# ---- compiling --------------------------------------------------------------------------------------------------------


def test_compile_errors_name_file_and_line(p):
    p.write_module("0001_broken", "#include <mig.h>\n\nint x = ;\n")
    three_lines(p.mig("up", code=2), "migrations/0001_broken.c does not compile", "migrations/0001_broken.c:3:9: error:")


def test_source_is_compiled_once_and_needs_no_compiler_afterwards(p):
    p.write_module("0001_once", module("return true; /* once */"))
    p.mig("list")
    p.mig("list", CC="/nonexistent/cc")
    p.write_module("0001_once", module("return true; /* changed */"))
    three_lines(p.mig("list", code=2, CC="/nonexistent/cc"), "no C compiler", "MIG_MODULE_CACHE")


def test_cache_that_others_may_enter_is_refused(p, tmp_path):
    p.write_module("0001_m", module("return true;"))
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    three_lines(p.mig("list", code=1, MIG_MODULE_CACHE=open_to_all), "0700")
    link = tmp_path / "link"
    link.symlink_to(p.cache)
    three_lines(p.mig("list", code=1, MIG_MODULE_CACHE=link), "cannot be used for compiled modules")


def test_local_includes_are_refused_so_that_the_checksum_covers_all(p):
    (p.migrations / "helper.h").write_text("int helper;\n")
    p.write_module("0001_inc", '#include <mig.h>\n#include "helper.h"\n')
    three_lines(p.mig("list", code=2), "helper.h", "0001_inc.c:2")


def test_compiled_so_is_a_migration_and_its_checksum_is_recorded(p):
    add_users(p)
    headers = EXAMPLES.parents[1] / "engine"
    source = p.folder / "m.c"
    source.write_text(module(HALF_WAY + "return true;", writes=["users"]))
    so = p.migrations / "0001_made.so"
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{headers}", "-o", so, source], check=True)
    p.mig("up")
    entry = p.ledger("0001_made")
    assert entry["kind"] == "module" and entry["checksum"] == hashlib.sha256(so.read_bytes()).hexdigest()
    assert {u["email"] for u in p.db.users.find()} == {"gone"}


@pytest.mark.parametrize("text, words", [
    ("int x;\n", "no mig_module_descriptor"),
    ("#include <mig.h>\nconst mig_module mig_module_descriptor = {.abi = 99};\n", "its abi is 99"),
    ("#include <mig.h>\nconst mig_module mig_module_descriptor = {.abi = MIG_MODULE_ABI};\n", "has no up"),
    (module("return true;", name="0002_other"), "0002_other"),
    (module("return true;", transaction="sometimes"), "sometimes"),
    (module("return true;", guards=["{'noSuchGuard': {}}"]), "noSuchGuard"),
    (module("return true;", guards=["{'count': }"]), "mig_ctx_doc"),
    (module("return true;", transaction="required", indexes=["users"]), "requires a transaction"),
    (module("extern int not_there(void); return not_there();"), "not_there"),
])
def test_descriptor_that_cannot_be_used_is_an_input_error(p, text, words):
    p.write_module("0001_bad", text)
    three_lines(p.mig("list", code=2), "0001_bad.c", words)


def test_lint_runs_nothing_of_a_module(p):
    p.write_module("0001_m", module("return true;", before="__attribute__((constructor)) static void f(void) { abort(); }"))
    p.mig("lint", MIG_MODULE_CACHE="/nonexistent")


def test_metadata_of_a_module_is_recorded(p):
    p.write_module("0001_m", module("return true;", metadata="{'ticket': 'OPS-17'}"))
    p.mig("up")
    assert p.ledger("0001_m")["metadata"]["ticket"] == "OPS-17"


def test_changed_source_is_noticed_after_it_was_applied(p):
    path = p.write_module("0001_m", module("return true;"))
    p.mig("up")
    path.write_text(path.read_text() + "/* changed */\n")
    result = p.mig("validate", code=6)
    assert "modified" in result.out + result.err


def test_dry_run_of_a_module_runs_nothing_of_it(p):
    add_users(p)
    p.write_module("0001_m", module(HALF_WAY + "return true;", writes=["users"]))
    before = picture(p)
    forecast = one(p.mig("up", "--dry-run", "--json"), "migration")
    assert forecast["collections"] == ["users"] and picture(p) == before

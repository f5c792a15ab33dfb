/* snapshot create, list, show, verify. */
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"

#include "backup/archive_read.h"
#include "backup/store_receive.h"
#include "base/names.h"
#include "run/emergency.h"

static void json_info(mig_cli *cli, const mig_snapshot_info *s) {
  bson_t *line = BCON_NEW("snapshot", BCON_UTF8(s->id), "path", BCON_UTF8(s->path), "sha256", BCON_UTF8(s->sha256),
                          "digest", BCON_UTF8(s->digest), "bytes", BCON_INT64((int64_t)s->bytes), "rawBytes",
                          BCON_INT64((int64_t)s->raw_bytes), "documents", BCON_INT64((int64_t)s->documents),
                          "consistency", BCON_UTF8(s->consistency));
  if (s->written) BSON_APPEND_ARRAY(line, "writtenMeanwhile", s->written);
  if (s->stored_left) BCON_APPEND(line, "leftOut", "[", BCON_UTF8(MIG_STORED), "]");
  cli_json(cli, line);
  bson_destroy(line);
}

static const char *written(const mig_snapshot_info *info) {
  if (!info->written) return "";
  return bson_empty(info->written) ? ", nothing was written meanwhile" : ", and it was written to meanwhile";
}

void cli_show_taken(mig_cli *cli, const mig_snapshot_info *info) {
  char bytes[40], raw[40];
  cli_bytes((int64_t)info->bytes, bytes);
  cli_bytes((int64_t)info->raw_bytes, raw);
  json_info(cli, info);
  cli_print(cli, "%s\n  %llu documents, %s (%s in the archive), consistency: %s%s\n  digest %s\n  %s\n", info->id,
            (unsigned long long)info->documents, raw, bytes, info->consistency, written(info), info->digest,
            info->path);
}

/* Taken into the store, read back, and only then sent: what arrives is whole, or cut off by a broken pipe. */
static bool send_away(mig_cli *cli, mig_engine *e, const mig_snapshot_info *info, mig_error *err) {
  const bool sent = mig_store_send(&e->work, info->path, STDOUT_FILENO, err);
  mig_error ignored;
  mig_store_remove(e->store, info->path, &ignored);
  if (sent)
    cli_note(cli, "%s: %llu documents, SHA-256 %s%s\n", info->id, (unsigned long long)info->documents, info->sha256,
             cli->sign_key_file ? "; without a signature, which is a file of its own" : "");
  return sent;
}

static bool check_output(mig_cli *cli, mig_error *err) {
  if (!cli->args[0]) return true;
  if (strcmp(cli->args[0], "-") != 0) {
    mig_fail(err, MIG_E_USAGE, "`mig snapshot create` takes nothing or -, not \"%.80s\"", cli->args[0]);
    return mig_hint(err, "collections are named with --only; the folder of snapshots with --store");
  }
  if (cli->json)
    return mig_fail(err, MIG_E_USAGE, "--json and - exclude each other: standard output carries the snapshot");
  if (cli->opt[OPT_SIGN_KEY])
    return mig_fail(err, MIG_E_USAGE, "--sign-key and - exclude each other: a signature is a file of its own");
  if (!isatty(STDOUT_FILENO)) return true;
  mig_fail(err, MIG_E_USAGE, "a snapshot is not written to a terminal");
  return mig_hint(err, "mig snapshot create - > FILE.mig.tar, or | ssh ...");
}

bool cmd_snapshot_create(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  mig_snapshot_info info = {0};
  mig_cli_catch_signals();
  bool ok = check_output(cli, err) && mig_cli_open(cli, &e, err) && mig_emergency_snapshot(e, cli->only, &info, err);
  if (ok && cli->args[0])
    ok = send_away(cli, e, &info, err);
  else if (ok)
    cli_show_taken(cli, &info);
  mig_snapshot_info_clear(&info);
  mig_close(e);
  return ok;
}

bool cmd_snapshot_list(mig_cli *cli, mig_error *err) {
  mig_store *store = NULL;
  mig_store_item *items = NULL;
  size_t n = 0;
  if (!mig_store_exists(cli->store)) {
    cli_print(cli, "no snapshots in %s\n", cli->store);
    return true;
  }
  bool ok = mig_store_open(cli->store, false, &store, err) && mig_store_list(store, &items, &n, err);
  for (size_t i = 0; ok && i < n; i++) {
    mig_archive *a = NULL;
    mig_error unreadable = {0};
    char when[32], bytes[40];
    bool readable = mig_archive_open(items[i].path, &a, &unreadable);
    const mig_manifest *m = readable ? mig_archive_contents(a) : NULL;
    cli_local_time(items[i].created_unix_ms, when);
    cli_bytes((int64_t)items[i].bytes, bytes);
    bson_t *line = BCON_NEW("snapshot", BCON_UTF8(items[i].id), "createdAt", BCON_DATE_TIME(items[i].created_unix_ms),
                            "bytes", BCON_INT64((int64_t)items[i].bytes), "readable", BCON_BOOL(readable), "encrypted",
                            BCON_BOOL(m && m->encryption.used), "reason", BCON_UTF8(m ? m->reason : ""), "documents",
                            BCON_INT64(m ? (int64_t)m->documents : 0));
    cli_json(cli, line);
    bson_destroy(line);
    cli_print(cli, "%s  %s  %10s  %8llu documents  %s%s\n", items[i].id, when, bytes,
              m ? (unsigned long long)m->documents : 0ull, m && m->encryption.used ? "(encrypted) " : "",
              m ? m->reason : unreadable.what);
    mig_archive_free(a);
  }
  if (ok && n == 0) cli_print(cli, "no snapshots in %s\n", cli->store);
  mig_store_items_free(items, n);
  mig_store_close(store);
  return ok;
}

bool cli_open_snapshot(mig_cli *cli, const char *name, mig_archive **out, mig_error *err) {
  mig_store *store = NULL;
  char *path = NULL;
  *out = NULL;
  bool ok = !mig_store_exists(cli->store) || mig_store_open(cli->store, false, &store, err);
  if (ok) ok = store ? mig_store_find(store, name, &path, err) : (path = mig_strdup(name)) != NULL;
  ok = ok && mig_archive_open(path, out, err);
  mig_free(path);
  mig_store_close(store);
  return ok;
}

bool cli_unlock(mig_cli *cli, mig_archive *a, mig_error *err) {
  if (cli->key_file || cli->passphrase_file || cli->opt[OPT_PASSPHRASE]) mig_archive_expect_key(a);
  if (!mig_archive_contents(a)->encryption.used) return true;
  return mig_cli_key(cli, err) && mig_archive_unlock(a, cli->key, err);
}

static const char *holds_name(mig_holds h) {
  return h == MIG_HOLDS_DOCUMENTS ? "documents" : h == MIG_HOLDS_METADATA ? "metadata" : "absent";
}

static void show_collection(mig_cli *cli, const mig_collection_entry *c) {
  char raw[40];
  cli_bytes((int64_t)c->raw_bytes, raw);
  bson_t *line =
      BCON_NEW("collection", BCON_UTF8(c->name), "holds", BCON_UTF8(holds_name(c->holds)), "type",
               BCON_UTF8(c->type ? c->type : ""), "documents", BCON_INT64((int64_t)c->documents), "rawBytes",
               BCON_INT64((int64_t)c->raw_bytes), "indexes",
               BCON_INT64(c->indexes ? (int64_t)bson_count_keys(c->indexes) : 0), "sha256", BCON_UTF8(c->sha256));
  const bool written = c->written == MIG_WRITTEN_SOMETHING;
  if (c->written != MIG_WRITTEN_UNKNOWN) BSON_APPEND_BOOL(line, "writtenMeanwhile", written);
  cli_json(cli, line);
  bson_destroy(line);
  cli_print(cli, "  %-32s %-10s %8llu documents %10s %3u indexes%s\n", c->name, holds_name(c->holds),
            (unsigned long long)c->documents, raw, c->indexes ? bson_count_keys(c->indexes) : 0,
            written ? ", written to while it was read" : "");
}

static const char *encrypted_by(const mig_manifest *m) {
  return !m->encryption.used ? "no" : m->encryption.passphrase ? "with a passphrase" : "with a key file";
}

bool cmd_snapshot_show(mig_cli *cli, mig_error *err) {
  mig_archive *a = NULL;
  char when[32], raw[40];
  if (!cli_open_snapshot(cli, cli->args[0], &a, err)) return false;
  const mig_manifest *m = mig_archive_contents(a);
  cli_local_time(m->created_unix_ms, when);
  cli_bytes((int64_t)m->raw_bytes, raw);
  cli_print(
      cli,
      "%s\n  database    %s\n  taken       %s UTC by %s\n  reason      %s\n  server      %s %s, %s\n  consistency %s\n",
      m->id, m->database, when, m->tool, m->reason, m->server_product ? m->server_product : "",
      m->server_version ? m->server_version : "", m->topology ? m->topology : "", m->consistency);
  cli_print(cli, "  encrypted   %s\n  holds       %llu documents, %s\n  digest      %s\n", encrypted_by(m),
            (unsigned long long)m->documents, raw, m->digest);
  for (size_t i = 0; i < m->collection_count; i++) show_collection(cli, &m->collections[i]);
  bson_t *line = BCON_NEW("snapshot", BCON_UTF8(m->id), "database", BCON_UTF8(m->database), "createdAt",
                          BCON_DATE_TIME(m->created_unix_ms), "reason", BCON_UTF8(m->reason), "consistency",
                          BCON_UTF8(m->consistency), "encrypted", BCON_BOOL(m->encryption.used), "documents",
                          BCON_INT64((int64_t)m->documents), "rawBytes", BCON_INT64((int64_t)m->raw_bytes), "digest",
                          BCON_UTF8(m->digest));
  cli_json(cli, line);
  bson_destroy(line);
  mig_archive_free(a);
  return true;
}

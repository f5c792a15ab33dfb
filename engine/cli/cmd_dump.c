/* snapshot export and import: to and from what mongodump writes. Neither needs a server. */
#include <stdlib.h>

#include "backup/dump_import.h"
#include "backup/dump_write.h"
#include "cli/commands.h"

bool cmd_snapshot_export(mig_cli *cli, mig_error *err) {
  const mig_observer observer = cli_observer(cli);
  mig_work w = {.observer = &observer, .checkpoint = cli_checkpoint};
  mig_archive *archive = NULL;
  mig_dump_written written = {0};
  char bytes[40];
  mig_cli_catch_signals();
  const bool ok = cli_open_snapshot(cli, cli->args[0], &archive, err) && cli_unlock(cli, archive, err) &&
                  mig_dump_write(&w, archive, cli->only, cli->args[1], &written, err);
  if (ok) {
    bson_t *line =
        BCON_NEW("exported", BCON_UTF8(cli->args[1]), "database", BCON_UTF8(mig_archive_contents(archive)->database),
                 "collections", BCON_INT64((int64_t)written.collections), "documents",
                 BCON_INT64((int64_t)written.documents), "rawBytes", BCON_INT64((int64_t)written.bytes));
    cli_json(cli, line);
    bson_destroy(line);
    cli_bytes((int64_t)written.bytes, bytes);
    cli_print(cli, "%s\n  %llu collections, %llu documents, %s; load it with: mongorestore %s\n", cli->args[1],
              (unsigned long long)written.collections, (unsigned long long)written.documents, bytes, cli->args[1]);
  }
  mig_archive_free(archive);
  return ok;
}

bool cmd_snapshot_import(mig_cli *cli, mig_error *err) {
  const mig_observer observer = cli_observer(cli);
  mig_work w = {.observer = &observer, .checkpoint = cli_checkpoint};
  mig_store *store = NULL;
  mig_sign_key *sign_key = NULL;
  mig_snapshot_info info = {0};
  const mig_dump_import_options o = {.path = cli->args[0],
                                     .database = cli->db,
                                     .insists = cli->opt[OPT_DB] != NULL, /* MIG_DB is of the server */
                                     .only = cli->only};
  mig_cli_catch_signals();
  bool ok = mig_cli_key(cli, err) &&
            (!cli->sign_key_file || mig_sign_key_from_file(cli->sign_key_file, &sign_key, err)) &&
            mig_store_open(cli->store, true, &store, err) && mig_store_use_key(store, cli->key, err) &&
            mig_store_use_sign_key(store, sign_key, err) && mig_store_sweep(store, err) &&
            mig_dump_import(&w, store, &o, &info, err);
  if (ok) cli_show_taken(cli, &info);
  if (!ok && err && err->code == MIG_E_INPUT && !err->hint[0])
    mig_hint(err, "see to the dump, or name the other collections with --only");
  if (!ok && err && err->code == MIG_E_INPUT && !err->why[0]) mig_why(err, "this is not as mongodump writes it");
  mig_snapshot_info_clear(&info);
  mig_sign_key_free(sign_key);
  mig_store_close(store);
  return ok;
}

/* Settings: flag > environment > mig.json > default. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backup/pipeline.h"
#include "base/fs.h"
#include "base/names.h"
#include "cli/cli.h"

#define MOST_LEASE_MINUTES (366 * 24 * 60)

static const char *const keys[] = {
    "uri",     "db",      "dir",         "store",           "by",           "keyFile",   "passphraseFile",
    "signKey", "logFile", "metricsFile", "txnMaxDocuments", "leaseMinutes", "logMaxMiB", "jobs",
    NULL};

static bool is_number(const char *key) {
  return strcmp(key, "txnMaxDocuments") == 0 || strcmp(key, "leaseMinutes") == 0 || strcmp(key, "logMaxMiB") == 0 ||
         strcmp(key, "jobs") == 0;
}

/* A setting of the wrong type must not be as if it were absent: "db" could then be another database. */
static bool check_value(const char *path, const bson_t *config, const bson_iter_t *it, mig_error *err) {
  const char *key = bson_iter_key(it), *text = NULL;
  int64_t number = 0;
  bson_iter_t first, self = *it;
  if (bson_iter_init_find(&first, config, key) && bson_iter_offset(&first) != bson_iter_offset(&self))
    return mig_fail(err, MIG_E_USAGE, "%s: the setting \"%s\" stands there twice", path, key);
  bool ok =
      is_number(key) ? mig_bson_int(config, key, &number) && number > 0 : mig_bson_str(config, key, &text) && *text;
  if (ok) return true;
  mig_fail(err, MIG_E_USAGE, "%s: the setting \"%s\" must be %s", path, key,
           is_number(key) ? "a whole number from 1 on" : "text that is not empty");
  return mig_hint(err, "put it right, or leave it out for the default");
}

static bool known_keys(const char *path, const bson_t *config, mig_error *err) {
  bson_iter_t it;
  if (!bson_iter_init(&it, config)) return false;
  while (bson_iter_next(&it)) {
    const char *key = bson_iter_key(&it);
    bool known = false;
    for (const char *const *k = keys; *k; k++) known = known || strcmp(*k, key) == 0;
    if (known && !check_value(path, config, &it, err)) return false;
    if (known) continue;
    const char *near = mig_name_nearest(key, keys);
    mig_fail(err, MIG_E_USAGE, "%s: unknown setting \"%s\"", path, key);
    return near ? mig_hint(err, "did you mean \"%s\"?", near)
                : mig_hint(err, "known: uri db dir store by keyFile passphraseFile signKey logFile metricsFile "
                                "txnMaxDocuments leaseMinutes logMaxMiB jobs");
  }
  return true;
}

static void warn_if_open(mig_cli *cli, const char *path, const char *uri) {
  struct stat st;
  const char *at = strchr(uri, '@');
  if (at && stat(path, &st) == 0 && (st.st_mode & 077) != 0)
    cli_note(cli, "warning: %s holds a password and others may read it: chmod 600 %s\n", path, path);
}

static bool load_config(mig_cli *cli, mig_error *err) {
  const char *asked = cli->opt[OPT_CONFIG] ? cli->opt[OPT_CONFIG] : getenv("MIG_CONFIG");
  if (asked && !*asked && !cli->opt[OPT_CONFIG]) asked = NULL; /* empty is unset, as of all variables */
  const char *path = asked ? asked : "mig.json";
  mig_buf text;
  bson_error_t error;
  if (!asked && !mig_fs_exists(path)) return true;
  if (!mig_fs_read(path, 1 << 20, &text, err)) {
    if (err && err->code != MIG_E_NO_MEMORY) err->code = MIG_E_USAGE;
    return false;
  }
  cli->config = bson_new_from_json(text.data, (ssize_t)text.size, &error);
  mig_buf_free(&text);
  if (!cli->config) {
    mig_fail(err, MIG_E_USAGE, "%s is not JSON", path);
    return mig_why(err, "%s", error.message);
  }
  if (!mig_cli_copy(path, &cli->config_path, err)) return false;
  const char *uri = NULL;
  if (mig_bson_str(cli->config, "uri", &uri)) warn_if_open(cli, path, uri);
  return known_keys(path, cli->config, err);
}

/* A setting that was given and could not be copied is never taken for one that was not given. */
bool mig_cli_copy(const char *text, char **out, mig_error *err) {
  *out = mig_strdup(text);
  return !text || *out || mig_no_memory(err, "settings");
}

/* Paths in mig.json are relative to its folder, so that mig works from anywhere with --config. */
bool mig_cli_from_config(const mig_cli *cli, const char *key, bool is_path, char **out, mig_error *err) {
  const char *value = NULL;
  *out = NULL;
  if (!cli->config || !mig_bson_str(cli->config, key, &value)) return true;
  const char *slash = strrchr(cli->config_path, '/');
  if (!is_path || !slash || value[0] == '/' || strstr(value, "://")) return mig_cli_copy(value, out, err);
  *out = mig_strdup_printf("%.*s%s", (int)(slash - cli->config_path + 1), cli->config_path, value);
  return *out || mig_no_memory(err, "settings");
}

typedef struct setting {
  mig_option option;
  const char *variable, *key;
  bool is_path;
  const char *fallback;
} setting;

static bool settle_one(const mig_cli *cli, const setting *s, char **out, mig_error *err) {
  const char *environment = getenv(s->variable);
  if (cli->opt[s->option]) return mig_cli_copy(cli->opt[s->option], out, err);
  if (environment && *environment) return mig_cli_copy(environment, out, err);
  return mig_cli_from_config(cli, s->key, s->is_path, out, err) && (*out || mig_cli_copy(s->fallback, out, err));
}

bool mig_cli_settle(mig_cli *cli, mig_error *err) {
  const struct {
    setting setting;
    char **out;
  } all[] = {{{OPT_URI, "MIG_URI", "uri", false, NULL}, &cli->uri},
             {{OPT_DB, "MIG_DB", "db", false, NULL}, &cli->db},
             {{OPT_DIR, "MIG_DIR", "dir", true, "migrations"}, &cli->dir},
             {{OPT_STORE, "MIG_STORE", "store", true, "snapshots"}, &cli->store},
             {{OPT_BY, "MIG_BY", "by", false, NULL}, &cli->by},
             {{OPT_LOG_FILE, "MIG_LOG_FILE", "logFile", true, "migration-execution.log"}, &cli->log_file},
             {{OPT_METRICS_FILE, "MIG_METRICS_FILE", "metricsFile", true, NULL}, &cli->metrics_file}};
  if (!load_config(cli, err)) return false;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (!settle_one(cli, &all[i].setting, all[i].out, err)) return false;
  return mig_cli_settle_keys(cli, err);
}

/* name: how the user calls it. */
static bool number(const mig_cli *cli, const char *name, const char *text, int64_t *out, mig_error *err) {
  char *end = NULL;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno || end == text || *end || value < 1) {
    mig_fail(err, MIG_E_USAGE, "%s takes a whole number from 1 on, not \"%.60s\"", name, text);
    return mig_hint(err, "mig help %s", cli->command->name);
  }
  *out = value;
  return true;
}

bool mig_cli_int(const mig_cli *cli, mig_option option, int64_t fallback, int64_t *out, mig_error *err) {
  char name[40];
  *out = fallback;
  snprintf(name, sizeof name, "--%s", mig_option_table[option].name);
  return !cli->opt[option] || number(cli, name, cli->opt[option], out, err);
}

bool mig_cli_jobs(const mig_cli *cli, unsigned *out, mig_error *err) {
  const char *environment = getenv("MIG_JOBS");
  int64_t jobs = 0;
  if (cli->config) mig_bson_int(cli->config, "jobs", &jobs);
  if (environment && *environment && !cli->opt[OPT_JOBS] && !number(cli, "MIG_JOBS", environment, &jobs, err))
    return false;
  if (!mig_cli_int(cli, OPT_JOBS, jobs, &jobs, err)) return false;
  *out = jobs > MIG_JOBS_MAX ? MIG_JOBS_MAX : (unsigned)jobs;
  return true;
}

typedef enum source { FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG } source;

static source source_of(const mig_cli *cli, mig_option option, const char *variable) {
  const char *environment = getenv(variable);
  return cli->opt[option] ? FROM_FLAG : environment && *environment ? FROM_ENVIRONMENT : FROM_FILE;
}

/* A connection string may name a database, too. One that was given nearer than the name it contradicts was hardly meant
 * for that other database; but it is no order either, for many end in "/admin", where their user is. */
static bool check_database(const mig_cli *cli, mig_error *err) {
  static const char *const uris[] = {"\"uri\" of mig.json", "MIG_URI", "--uri"}, *const dbs[] = {"\"db\" of mig.json",
                                                                                                 "MIG_DB", "--db"};
  const source uri = source_of(cli, OPT_URI, "MIG_URI"), db = source_of(cli, OPT_DB, "MIG_DB");
  char *named = NULL;
  if (!cli->uri || !cli->db || uri <= db) return true;
  if (!mig_db_uri_database(cli->uri, &named, err)) return false;
  bool ok = !named || strcmp(named, cli->db) == 0;
  if (!ok) {
    mig_fail(err, MIG_E_USAGE, "which database: %s by %s, or %s by %s?", named, uris[uri], cli->db, dbs[db]);
    mig_why(err, "the connection string was given nearer than the name, and names another database");
    ok = mig_hint(err, "say it with --db; a user's own database goes into the connection string as authSource=%s",
                  named);
  }
  mig_free(named);
  return ok;
}

bool mig_cli_settings(mig_cli *cli, mig_settings *out, mig_error *err) {
  int64_t txn = 0, minutes = 0, log_mib = 0, configured = 0;
  unsigned jobs = 0;
  if (!check_database(cli, err)) return false;
  if (cli->config && mig_bson_int(cli->config, "txnMaxDocuments", &configured)) txn = configured;
  if (cli->config && mig_bson_int(cli->config, "leaseMinutes", &configured)) minutes = configured;
  if (cli->config && mig_bson_int(cli->config, "logMaxMiB", &configured)) log_mib = configured;
  if (!mig_cli_int(cli, OPT_TXN_MAX, txn, &txn, err) || !mig_cli_int(cli, OPT_LEASE_MINUTES, minutes, &minutes, err) ||
      !mig_cli_jobs(cli, &jobs, err))
    return false;
  if (minutes > MOST_LEASE_MINUTES) return mig_fail(err, MIG_E_USAGE, "a lease of more than a year is refused");
  *out = (mig_settings){.uri = cli->uri,
                        .database = cli->db,
                        .migrations = cli->dir,
                        .store = cli->store,
                        .by = cli->by,
                        .key_file = cli->key_file,
                        .passphrase_file = cli->passphrase_file,
                        .sign_key_file = cli->sign_key_file,
                        .metadata = cli->meta,
                        .txn_max_documents = txn,
                        .lease_ttl_ms = minutes * 60000,
                        .jobs = jobs,
                        .no_snapshot = cli->opt[OPT_NO_SNAPSHOT] != NULL,
                        .log_file = strcmp(cli->log_file, "none") == 0 ? NULL : cli->log_file,
                        .log_max_bytes = (log_mib > 1000000 ? 1000000 : log_mib) << 20,
                        .stop = &mig_cli_stop,
                        .observer = cli_observer(cli)};
  return true;
}

bool mig_cli_open(mig_cli *cli, mig_engine **out, mig_error *err) {
  mig_settings settings;
  *out = NULL;
  if (!mig_cli_settings(cli, &settings, err)) return false;
  if (!cli->opt[OPT_PASSPHRASE]) return mig_open(&settings, out, err); /* a file is read when it is needed */
  if (!mig_cli_key(cli, err) || !mig_open(&settings, out, err)) return false;
  if (mig_engine_use_key(*out, cli->key, err)) return true;
  mig_close(*out);
  *out = NULL;
  return false;
}

/* init, create: new files; existing ones are never overwritten. */
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "cli/commands.h"
#include "migrations/templates.h"

static bool write_new(mig_cli *cli, const char *path, const char *text, mig_error *err) {
  if (mig_fs_exists(path)) {
    cli_print(cli, "kept    %s (it exists)\n", path);
    return true;
  }
  if (!mig_fs_write_atomic(path, text, strlen(text), 0644, err)) return false;
  bson_t *line = BCON_NEW("wrote", BCON_UTF8(path));
  cli_json(cli, line);
  bson_destroy(line);
  cli_print(cli, "wrote   %s\n", path);
  return true;
}

/* "2026-11-21T07-15-00_name" */
static char *timestamped(const char *folder, const char *name) {
  char stamp[32];
  time_t now = time(NULL);
  struct tm tm;
  if (!gmtime_r(&now, &tm) || strftime(stamp, sizeof stamp, "%Y-%m-%dT%H-%M-%S", &tm) == 0) return NULL;
  return mig_strdup_printf("%s/%s_%s.json", folder, stamp, name);
}

static bool write_migration(mig_cli *cli, const char *name, const char *template_name, mig_error *err) {
  const char *text = mig_template(template_name);
  if (!text) {
    mig_fail(err, MIG_E_USAGE, "there is no template \"%.40s\"", template_name);
    return mig_hint(err, "there are: %s", mig_template_names());
  }
  char *path = timestamped(cli->dir, name);
  bool ok = path ? true : mig_no_memory(err, "path");
  if (ok && mig_fs_exists(path)) ok = mig_fail(err, MIG_E_USAGE, "%s exists already", path);
  ok = ok && mig_fs_make_folder(cli->dir, 0755, err) && write_new(cli, path, text, err);
  mig_free(path);
  return ok;
}

static bool name_ok(const char *name, mig_error *err) {
  size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
  if (*name && !name[good] && strlen(name) <= 100) return true;
  mig_fail(err, MIG_E_USAGE, "\"%.60s\" cannot be part of a file name of a migration", name);
  return mig_hint(err, "letters, digits, - and _, at most 100");
}

bool cmd_create(mig_cli *cli, mig_error *err) {
  const char *name = cli->args[0];
  return name_ok(name, err) &&
         write_migration(cli, name, cli->opt[OPT_TEMPLATE] ? cli->opt[OPT_TEMPLATE] : "add-field", err);
}

static bool has_migrations(const char *folder) {
  char **names = NULL;
  size_t n = 0;
  bool any = mig_fs_list(folder, &names, &n, NULL) && n > 0;
  mig_fs_names_free(names, n);
  return any;
}

bool cmd_init(mig_cli *cli, mig_error *err) {
  static const char config[] =
      "{\n  \"uri\": \"mongodb://127.0.0.1:27017/app\",\n  \"dir\": \"migrations\",\n  \"store\": \"snapshots\"\n}\n";
  const char *path = cli->opt[OPT_CONFIG] ? cli->opt[OPT_CONFIG] : "mig.json";
  bool ok = write_new(cli, path, config, err) && mig_fs_make_folder(cli->dir, 0755, err) &&
            (has_migrations(cli->dir) || write_migration(cli, "first-example", "add-field", err));
  if (ok && cli->opt[OPT_WORKFLOW])
    ok = mig_fs_make_folder(".github/workflows", 0755, err) &&
         write_new(cli, ".github/workflows/migration-ci.yml", mig_template_workflow(), err);
  if (ok)
    cli_print(cli, "next: set \"uri\" in %s (or MIG_URI), edit the example, then `mig plan` and `mig up`\n", path);
  return ok;
}

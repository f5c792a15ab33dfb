/* init, create: new files; existing ones are never overwritten. */
#include <string.h>

#include "base/fs.h"
#include "cli/commands.h"
#include "migrations/create.h"
#include "migrations/templates.h"
#include "validators/guard.h"

static void wrote(mig_cli *cli, const char *path) {
  bson_t *line = BCON_NEW("wrote", BCON_UTF8(path));
  cli_json(cli, line);
  bson_destroy(line);
  cli_print(cli, "wrote   %s\n", path);
}

static bool write_new(mig_cli *cli, const char *path, const char *text, mig_error *err) {
  if (mig_fs_exists(path)) {
    cli_print(cli, "kept    %s (it exists)\n", path);
    return true;
  }
  if (!mig_fs_write_atomic(path, text, strlen(text), 0644, err)) return false;
  wrote(cli, path);
  return true;
}

static bool write_migration(mig_cli *cli, const char *words, const char *template_name, mig_error *err) {
  const mig_create_options o = {
      .folder = cli->dir, .words = words, .template_name = template_name, .check = mig_guard_check_syntax};
  char *path = NULL;
  if (!mig_fs_make_folder(cli->dir, 0755, err) || !mig_create(&o, &path, NULL, err)) return false;
  wrote(cli, path);
  mig_free(path);
  return true;
}

bool cmd_create(mig_cli *cli, mig_error *err) {
  const char *name = cli->args[0];
  return write_migration(cli, name, cli->opt[OPT_TEMPLATE] ? cli->opt[OPT_TEMPLATE] : "add-field", err);
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
            (has_migrations(cli->dir) || write_migration(cli, "first-example", "example", err));
  if (ok && cli->opt[OPT_WORKFLOW])
    ok = mig_fs_make_folder(".github/workflows", 0755, err) &&
         write_new(cli, ".github/workflows/migration-ci.yml", mig_template_workflow(), err);
  if (ok)
    cli_print(
        cli, "next: set \"uri\" in %s (or MIG_URI), then `mig plan`, `mig up`, `mig down`: the example runs as it is\n",
        path);
  return ok;
}

/* init, create: new files; existing ones are never overwritten. */
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cli/commands.h"
#include "migrations/migration.h"
#include "migrations/naming.h"
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

typedef struct file_names {
  char **items;
  size_t count;
} file_names;

static bool remember(void *arg, const char *path, mig_error *err) {
  file_names *n = arg;
  char **grown = mig_realloc(n->items, (n->count + 1) * sizeof *grown);
  if (!grown) return mig_no_memory(err, "list of migrations");
  n->items = grown;
  n->items[n->count] = mig_strdup(path);
  return n->items[n->count++] || mig_no_memory(err, "list of migrations");
}

/* The numbering that the folder has goes on. */
static bool next_path(const char *folder, const char *words, const char *ending, char **out, mig_error *err) {
  file_names names = {0};
  bool ok = mig_folder_each(folder, remember, &names, err);
  char *name = ok ? mig_name_next((const char *const *)names.items, names.count, mig_now_unix_ms(), words) : NULL;
  *out = name ? mig_strdup_printf("%s/%s%s", folder, name, ending) : NULL;
  if (ok && !*out) ok = mig_no_memory(err, "name");
  mig_free(name);
  for (size_t i = 0; i < names.count; i++) mig_free(names.items[i]);
  mig_free(names.items);
  return ok;
}

static bool no_template(const char *name, mig_error *err) {
  char *names = mig_template_names();
  mig_fail(err, MIG_E_USAGE, "there is no template \"%.40s\"", name);
  mig_hint(err, "there are: %s", names ? names : "");
  mig_free(names);
  return false;
}

static bool write_migration(mig_cli *cli, const char *name, const char *template_name, mig_error *err) {
  char *path = NULL, *text = NULL;
  const mig_embedded *template = mig_template_find(template_name);
  if (!template) return no_template(template_name, err);
  bool ok =
      mig_fs_make_folder(cli->dir, 0755, err) && next_path(cli->dir, name, mig_template_ending(template), &path, err);
  if (ok && mig_fs_exists(path)) ok = mig_fail(err, MIG_E_USAGE, "%s exists already", path);
  ok = ok && ((text = mig_template_text(template_name, name)) || mig_no_memory(err, "template"));
  ok = ok && write_new(cli, path, text, err);
  mig_free(text);
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

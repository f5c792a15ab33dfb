/* restore: a snapshot back into the database, by hand. */
#include <string.h>
#include <unistd.h>

#include "backup/store_receive.h"
#include "base/names.h"
#include "cli/commands.h"
#include "run/report.h"

static bool strategy(const mig_cli *cli, mig_strategy *out, mig_error *err) {
  const char *text = cli->opt[OPT_STRATEGY];
  *out = MIG_STRATEGY_AUTO;
  if (!text) return true;
  if (strcmp(text, "delta") == 0)
    *out = MIG_STRATEGY_DELTA;
  else if (strcmp(text, "swap") == 0)
    *out = MIG_STRATEGY_SWAP;
  else
    return mig_fail(err, MIG_E_USAGE, "--strategy is delta or swap, not \"%.40s\"", text);
  return true;
}

/* Archives of documents that others wrote meanwhile and that were not left in place. */
static void show_displaced(mig_cli *cli, const char *path) {
  if (!path) return;
  bson_t *line = BCON_NEW("displaced", BCON_UTF8(path));
  cli_json(cli, line);
  bson_destroy(line);
  cli_print(cli, "documents that were replaced or removed are kept in %s\n", path);
}

static void show(mig_cli *cli, const mig_emergency_report *r, bool dry_run) {
  const mig_restore_report *x = &r->restore;
  for (size_t i = 0; i < x->count; i++) cli_diff_row(cli, &x->collections[i]);
  for (size_t i = 0; i < r->stays_count; i++)
    cli_print(cli, "  %-32s is not in the snapshot and stays as it is\n", r->stays[i]);
  show_displaced(cli, x->displaced_path);
  for (size_t i = 0; i < MIG_RESTORE_DISPLACED; i++) show_displaced(cli, x->more_displaced[i]);
  bson_t line = BSON_INITIALIZER;
  mig_report_restore(&line, r, dry_run);
  cli_json(cli, &line);
  bson_destroy(&line);
  if (r->safety.id) cli_print(cli, "the state before this restore is kept as %s\n", r->safety.id);
  if (dry_run)
    cli_print(cli, x->identical ? "nothing differs in the collections of the snapshot\n"
                                : "nothing was written (dry run)\n");
  else if (x->identical)
    cli_print(cli, "nothing differed: the collections of the snapshot are as in it\n");
  else
    cli_print(cli, "%srestored%s: %lld documents written, %lld removed; everything was read back and compared\n",
              cli_color(cli, "green"), cli_color(cli, "off"), (long long)x->written, (long long)x->removed);
  if (r->stays_count)
    cli_print(cli, "not in the snapshot, and left: %lld of the collections; the database is not as it was then\n",
              (long long)r->stays_count);
  for (size_t i = 0; i < r->follows.count; i++) {
    const mig_followed *f = &r->follows.items[i];
    const char *now = f->status == MIG_STATUS_APPLIED  ? "is applied again"
                      : f->status == MIG_STATUS_FAILED ? "has failed, and its data is back"
                                                       : "is no longer applied";
    if (f->certain) cli_print(cli, "the ledger follows: %s %s\n", f->name, now);
  }
}

/* SOURCE=TARGET. The target is of the database we are connected to; a name with a dot must say so, for collections may
 * have dots in their names. */
static bool parse_one_as(const char *text, const char *database, mig_restore_as *as, mig_error *err) {
  const char *equals = strchr(text, '=');
  if (!equals || equals == text || !equals[1]) {
    mig_fail(err, MIG_E_USAGE, "--as takes SOURCE=TARGET, not \"%.200s\"", text);
    return mig_hint(err, "--as app.users=app.users_of_may");
  }
  const char *to = equals + 1;
  const char *inside = mig_name_inside(database, to);
  if (!inside && strchr(to, '.')) {
    mig_fail(err, MIG_E_USAGE, "--as: the target %.200s is not in the database %s", to, database);
    mig_why(err, "a restore writes to the database it is connected to");
    return mig_hint(err, "choose it with --db; a collection with a dot in its name is written %s.%.100s", database, to);
  }
  as->from = mig_strndup(text, (size_t)(equals - text));
  as->to = inside ? inside : to;
  return as->from || mig_no_memory(err, "--as");
}

static bool parse_as(const mig_cli *cli, const char *database, mig_emergency_options *o, mig_error *err) {
  size_t n = 0;
  while (cli->as && cli->as[n]) n++;
  if (n == 0) return true;
  mig_restore_as *as = mig_alloc(n * sizeof *as);
  if (!as) return mig_no_memory(err, "--as");
  o->as = as;
  for (size_t i = 0; i < n; i++, o->as_count++)
    if (!parse_one_as(cli->as[i], database, &as[i], err)) return false;
  return true;
}

static void free_as(mig_emergency_options *o) {
  for (size_t i = 0; i < o->as_count; i++) mig_free((void *)(uintptr_t)o->as[i].from);
  mig_free((void *)(uintptr_t)o->as);
}

static bool check_options(const mig_cli *cli, mig_error *err) {
  if (cli->opt[OPT_DOCUMENTS] && !cli->opt[OPT_DRY_RUN])
    return mig_fail(err, MIG_E_USAGE, "--documents goes with --dry-run");
  if (cli->opt[OPT_REPLACE] && !cli->as) return mig_fail(err, MIG_E_USAGE, "--replace goes with --as");
  if (!cli->opt[OPT_FORCE] != !cli->opt[OPT_WHY]) {
    mig_fail(err, MIG_E_USAGE, "--force and --why go together");
    return mig_hint(err, "--force takes the place of a run that cannot be recovered; the reason stands in the history");
  }
  if (!cli->as || !cli->only) return true;
  mig_fail(err, MIG_E_USAGE, "--as and --only exclude each other");
  return mig_hint(err, "with --as just the collections it names are restored");
}

/* From standard input: a file of the store first, verified whole. A dry run keeps nothing. */
static bool receive(mig_cli *cli, mig_engine *e, mig_emergency_options *o, mig_received **out, mig_error *err) {
  if (strcmp(o->snapshot, "-") != 0) return true;
  if (!mig_engine_store(e, err) || !mig_store_receive(e->store, &e->work, STDIN_FILENO, !o->dry_run, out, err))
    return false;
  o->snapshot = mig_received_path(*out);
  if (!o->dry_run) cli_note(cli, "what came by standard input is kept as %s\n", o->snapshot);
  return true;
}

static bool confirm(mig_cli *cli, const mig_engine *e, mig_error *err) {
  char question[300];
  snprintf(question, sizeof question,
           cli->as ? "Put collections of %.120s into %.120s, beside what is there?"
                   : "Put %.120s back into %.120s, replacing what is there?",
           cli->args[0], mig_db_label(e->db));
  return cli->opt[OPT_DRY_RUN] || cli_confirm(cli, question, err);
}

bool cmd_restore(mig_cli *cli, mig_error *err) {
  mig_engine *e = NULL;
  mig_emergency_report report = {0};
  mig_received *received = NULL;
  mig_emergency_options o = {.snapshot = cli->args[0],
                             .only = cli->only,
                             .signer = cli->opt[OPT_SIGNER],
                             .replace = cli->opt[OPT_REPLACE] != NULL,
                             .no_indexes = cli->opt[OPT_NO_INDEXES] != NULL,
                             .dry_run = cli->opt[OPT_DRY_RUN] != NULL,
                             .no_safety_snapshot = cli->opt[OPT_NO_SAFETY] != NULL,
                             .force_why = cli->opt[OPT_WHY]};
  const mig_diff_listener listener = cli_diff_listener(cli);
  if (!strategy(cli, &o.strategy, err) || !check_options(cli, err)) return false;
  if (o.dry_run) o.listener = &listener;
  bool ok = mig_cli_open(cli, &e, err) && parse_as(cli, mig_db_name(e->db), &o, err) && confirm(cli, e, err);
  mig_cli_catch_signals(); /* not before: a signal at the question just ends it */
  ok = ok && receive(cli, e, &o, &received, err) && mig_emergency_restore(e, &o, &report, err);
  cli->changed = ok && !o.dry_run;
  if (ok) show(cli, &report, o.dry_run);
  mig_emergency_report_clear(&report);
  mig_received_free(received);
  free_as(&o);
  mig_cli_metrics(cli, e);
  mig_close(e);
  return ok;
}

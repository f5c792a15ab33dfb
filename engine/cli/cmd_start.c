/* start: migrates when MIGRATE_ON_START says so, then becomes the program. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"

static bool is_program(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Looked for before anything is migrated: a misspelt program must not be found out about afterwards. */
static bool find_program(const char *name, mig_error *err) {
  const char *path = getenv("PATH");
  bool found = strchr(name, '/') && is_program(name);
  while (!found && path && !strchr(name, '/')) {
    const char *end = strchrnul(path, ':');
    char *file = mig_strdup_printf("%.*s/%s", (int)(end - path), end == path ? "." : path, name);
    found = file && is_program(file);
    mig_free(file);
    if (!*end) break;
    path = end + 1;
  }
  if (found) return true;
  mig_fail(err, MIG_E_USAGE, "there is no program \"%.200s\" to start", name);
  return mig_hint(err, "mig start -- PROGRAM ARGUMENT...: a path, or a name on PATH; nothing was migrated");
}

/* The program gets our place with nothing of ours: signals as they were, no open files, the environment untouched. */
static bool become(mig_cli *cli, mig_error *err) {
  sigset_t stops, before;
  sigemptyset(&stops);
  sigaddset(&stops, SIGHUP);
  sigaddset(&stops, SIGINT);
  sigaddset(&stops, SIGTERM);
  sigprocmask(SIG_BLOCK, &stops, &before);
  if (mig_cli_stop) return mig_fail(err, MIG_E_INTERRUPTED, "interrupted before the program was started");
  mig_cli_release_signals();
  mig_cli_show_environment();
  fflush(NULL);
  sigprocmask(SIG_SETMASK, &before, NULL); /* one that came meanwhile ends us here */
  execvp(cli->args[0], (char *const *)(uintptr_t)cli->args);
  return mig_fail_errno(err, "cannot start %s", cli->args[0]);
}

static bool migrate(mig_cli *cli, mig_error *err) {
  mig_settings settings;
  mig_start_options options = {0};
  mig_start_report report;
  mig_listener listener = cli_listener(cli);
  int64_t seconds = 600;
  if (!mig_cli_nobody_there(cli, err)) return false;
  if (!mig_cli_int(cli, OPT_WAIT, seconds, &seconds, err) || !mig_cli_settings(cli, &settings, err)) return false;
  options.wait_ms = (seconds > 86400 ? 86400 : seconds) * 1000;
  mig_cli_catch_signals();
  bool ok = mig_run_on_start(&settings, &options, &listener, &report, err);
  cli->changed = report.applied > 0;
  if (ok && report.failed) {
    cli_error(cli, &report.error);
    cli_note(cli, "warning: starting all the same: MIGRATE_ON_START_FAIL_HARD is not true\n");
  } else if (ok && report.asked) {
    cli_print(cli, "%lld applied%s\n", (long long)report.applied,
              report.waited ? ", after waiting for another runner" : "");
  }
  if (report.asked && cli->metrics_file) {
    mig_engine *e = NULL;
    mig_error ignored;
    mig_open(&settings, &e, &ignored);
    mig_cli_metrics(cli, e);
    mig_close(e);
  }
  return ok;
}

bool cmd_start(mig_cli *cli, mig_error *err) {
  if (!find_program(cli->args[0], err)) return false;
  /* standard output is the program's: what we have to say goes to standard error */
  int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  bool turned = out >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
  bool ok = migrate(cli, err);
  cli_progress_end(cli);
  fflush(stdout);
  if (turned) dup2(out, STDOUT_FILENO);
  if (out >= 0) close(out);
  return ok && become(cli, err);
}

#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/parse.h"
#include "run/report.h"

volatile sig_atomic_t mig_cli_stop;

static void on_signal(int number) {
  static const char again[] = "\nstopped at once; run `mig recover`\n";
  static const char first[] = "\nstopping as soon as it is safe (a second signal stops at once)\n";
  if (mig_cli_stop && number == SIGHUP)
    return; /* a shell sends it, and the kernel again when that ends: nobody insists */
  if (mig_cli_stop) {
    ssize_t ignored = write(STDERR_FILENO, again, sizeof again - 1);
    (void)ignored;
    _exit(7); /* an interrupted run waits: the journal covers it */
  }
  __atomic_store_n(&mig_cli_stop, 1, __ATOMIC_RELAXED); /* other threads look */
  const int interrupted = errno;                        /* the terminal may be gone */
  ssize_t ignored = write(STDERR_FILENO, first, sizeof first - 1);
  (void)ignored;
  errno = interrupted;
}

static struct {
  int number;
  void (*handler)(int);
  struct sigaction before;
} caught[] = {{.number = SIGINT, .handler = on_signal},
              {.number = SIGTERM, .handler = on_signal},
              {.number = SIGHUP, .handler = on_signal}, /* the terminal is gone; a run must not end half-way with it */
              /* a closed pipe is a write error, not the end in the middle of a run */
              {.number = SIGPIPE, .handler = SIG_IGN},
              /* so is a limit on the size of files */
              {.number = SIGXFSZ, .handler = SIG_IGN}};
static bool catching;

void mig_cli_catch_signals(void) {
  for (size_t i = 0; !catching && i < sizeof caught / sizeof *caught; i++) {
    struct sigaction action = {.sa_handler = caught[i].handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(caught[i].number, NULL, &caught[i].before);
    if (caught[i].number == SIGHUP && caught[i].before.sa_handler == SIG_IGN) continue; /* nohup */
    sigaction(caught[i].number, &action, NULL);
  }
  catching = true;
}

void mig_cli_release_signals(void) {
  for (size_t i = 0; catching && i < sizeof caught / sizeof *caught; i++)
    sigaction(caught[i].number, &caught[i].before, NULL);
  catching = false;
}

/* libmongoc 1.30+ logs that a client was made before it can be told to be silent (base/db.c). */
static struct {
  const char *name;
  char *value;
} hidden[] = {{"MONGODB_LOG_ALL", NULL}, {"MONGODB_LOG_CONNECTION", NULL}};

void mig_cli_hide_environment(void) {
  for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
    hidden[i].value = mig_strdup(getenv(hidden[i].name));
    unsetenv(hidden[i].name);
  }
}

void mig_cli_show_environment(void) {
  for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
    if (hidden[i].value) setenv(hidden[i].name, hidden[i].value, 1);
}

static void finish_json(mig_cli *cli, int exit_code, const mig_error *err) {
  bson_t line = BSON_INITIALIZER;
  BSON_APPEND_INT32(&line, "exit", exit_code);
  if (err->code != MIG_OK) mig_report_error(&line, err);
  cli_json(cli, &line);
  bson_destroy(&line);
}

static void release(mig_cli *cli) {
  if (cli->config) bson_destroy(cli->config);
  mig_free(cli->config_path);
  mig_free(cli->uri);
  mig_free(cli->db);
  mig_free(cli->dir);
  mig_free(cli->store);
  mig_free(cli->by);
  mig_free(cli->log_file);
  mig_free(cli->metrics_file);
  mig_free(cli->key_file);
  mig_free(cli->passphrase_file);
  mig_free(cli->sign_key_file);
  for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
    mig_free(hidden[i].value);
    hidden[i].value = NULL;
  }
  mig_key_free(cli->key);
  mig_cli_words_free(cli);
}

int mig_cli_main(int argc, char **argv) {
  mig_cli cli = {0};
  mig_error err = {0};
  const char *no_color = getenv("NO_COLOR");
  cli.terminal = isatty(STDERR_FILENO);
  cli.color = cli.terminal && isatty(STDOUT_FILENO) && !(no_color && *no_color);
  bool ok = mig_cli_parse(&cli, argc, argv, &err);
  cli.json = cli.opt[OPT_JSON] != NULL;
  cli.quiet = cli.opt[OPT_QUIET] != NULL;
  cli.verbose = cli.opt[OPT_VERBOSE] != NULL;
  if (ok && cli.opt[OPT_HELP])
    ok = cmd_help_for(&cli, &err);
  else if (ok)
    ok = mig_cli_settle(&cli, &err) && cli.command->fn(&cli, &err);
  cli_progress_end(&cli);
  int exit_code = ok ? cli.exit_code : mig_code_exit(err.code);
  if (!ok && exit_code == 0) exit_code = 1;
  if (!ok) cli_error(&cli, &err);
  if (cli.json) finish_json(&cli, exit_code, &err);
  release(&cli);
  /* results that could not be written are no success; but 1 also says that nothing was changed */
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fputs("error: the results could not be written to standard output\n", stderr);
    if (exit_code == 0 && !cli.changed) exit_code = 1;
  }
  return exit_code;
}

/*
 * cli.h - the command line: parses it, runs one command, prints, and gives the exit code
 *
 * One table of commands (commands.c) and one of options (options.h) give dispatch, help, completion and docs.
 * A command is `bool cmd_x(mig_cli *, mig_error *)`; its exit code is that of err, or cli->exit_code when it is true.
 * stdout carries results (text, or with --json one object a line, the last with "exit"); stderr carries the rest.
 */
#ifndef MIG_CLI_CLI_H
#define MIG_CLI_CLI_H

#include <stdio.h>

#include "cli/options.h"
#include "run/engine.h"

typedef struct mig_cli mig_cli;

typedef struct mig_command {
  const char *name; /* "up", "snapshot create" */
  bool (*fn)(mig_cli *cli, mig_error *err);
  const char *arguments;      /* "[NAME]", "" */
  const char *help;           /* one line */
  int min_args, max_args;     /* max -1: any number */
  unsigned long long options; /* its own, besides the general ones: bits of mig_option */
} mig_command;

struct mig_cli {
  const mig_command *command;
  const char *opt[OPT_COUNT]; /* values as given; "" for a flag; NULL when absent */
  const char **args;
  int arg_count;
  /* values of the repeated options --only, --meta and --as, NULL-terminated; NULL when absent */
  const char **only, **meta, **as;
  char *config_path;
  bson_t *config;                                              /* mig.json; NULL when there is none */
  char *uri, *db, *dir, *store, *by, *log_file, *metrics_file; /* settled: flag > environment > mig.json > default */
  char *key_file, *passphrase_file;                            /* the same; at most one of them */
  char *sign_key_file;                                         /* the same */
  mig_key *key;                                                /* once mig_cli_key() has read it or asked for it */
  bool json, quiet, verbose, color, progress_shown, terminal;
  int64_t progress_ms;
  int exit_code;     /* of a command that returned true */
  int64_t forecasts; /* shown */
  bool changed;      /* the database: then exit code 1 would be untrue */
};

extern const mig_command mig_commands[]; /* ends with a row without a name */

typedef struct mig_alias {
  const char *name, *command; /* what people coming from elsewhere type, and what it is here */
} mig_alias;
extern const mig_alias mig_aliases[]; /* ends with a row without a name */

typedef struct mig_exit {
  int code;
  const char *brief, *meaning;
} mig_exit;
extern const mig_exit mig_exits[]; /* the contract of exit codes; ends with a row without a meaning */

int mig_cli_main(int argc, char **argv);

/* Becomes non-zero with SIGINT or SIGTERM; a second one stops the process at once. */
extern volatile sig_atomic_t mig_cli_stop;
void mig_cli_catch_signals(void);
/* Puts back what the signals did before: an ignored one is ignored again. */
void mig_cli_release_signals(void);

/* Variables that must not reach the driver are taken away before main's work, and given back to a program that we
 * start. */
void mig_cli_hide_environment(void);
void mig_cli_show_environment(void);

/* config.c: settles cli->uri and the rest. need_uri false: a missing server is fine. */
bool mig_cli_settle(mig_cli *cli, mig_error *err);
bool mig_cli_int(const mig_cli *cli, mig_option option, int64_t fallback, int64_t *out, mig_error *err);
/* --jobs, MIG_JOBS or "jobs"; 0 when nothing is said. */
bool mig_cli_jobs(const mig_cli *cli, unsigned *out, mig_error *err);
/* Writes the Prometheus textfile, where one is asked for. What it tells changes no exit code: trouble is a warning. */
void mig_cli_metrics(mig_cli *cli, mig_engine *e);
/* Fills *out with the settled settings, as mig_cli_open does; they point into cli. */
bool mig_cli_settings(mig_cli *cli, mig_settings *out, mig_error *err);
/* mig.json's, and a copy of any other text; NULL where there is none. Freed with mig_free. */
bool mig_cli_from_config(const mig_cli *cli, const char *key, bool is_path, char **out, mig_error *err);
bool mig_cli_copy(const char *text, char **out, mig_error *err);
/* key.c: which keys are for snapshots; and that of encryption itself, from its file or by asking on the terminal
 * (once). */
bool mig_cli_settle_keys(mig_cli *cli, mig_error *err);
bool mig_cli_nobody_there(const mig_cli *cli, mig_error *err); /* refuses --passphrase, for services */
bool mig_cli_key(mig_cli *cli, mig_error *err);                /* cli->key stays NULL when none is set */
/* Opens the engine with the settled settings. */
bool mig_cli_open(mig_cli *cli, mig_engine **out, mig_error *err);

/* output.c */
/* Result lines on stdout, not with --json. Line ends stand in the format: in values they are shown as blanks. */
void cli_print(mig_cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_text(mig_cli *cli, const char *text);         /* the same for lines of our own, as they are */
void cli_json(mig_cli *cli, const bson_t *line);       /* stdout, only with --json */
void cli_json_exact(mig_cli *cli, const bson_t *line); /* the same in canonical Extended JSON: types show */
void cli_note(mig_cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* stderr, not with --quiet */
void cli_error(mig_cli *cli, const mig_error *err);                                      /* three lines on stderr */
const char *cli_color(const mig_cli *cli, const char *name); /* "red", "green", "yellow", "bold", "dim", "off" */
mig_observer cli_observer(mig_cli *cli);
void cli_progress_end(mig_cli *cli);
bool cli_confirm(mig_cli *cli, const char *question, mig_error *err); /* --yes, or asks on a terminal */
void cli_bytes(int64_t bytes, char text[static 40]);                  /* "1.2 MiB" */
void cli_duration(int64_t ms, char text[static 40]);                  /* "1,250 ms" */
void cli_local_time(int64_t unix_ms, char text[static 32]);           /* "2026-11-21 07:15:00" UTC, "-" for 0 */
/* results.c: how runs, forecasts and errors look */
mig_listener cli_listener(mig_cli *cli);

#endif

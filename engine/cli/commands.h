/*
 * commands.h - the functions behind the table of commands, one file a family
 */
#ifndef MIG_CLI_COMMANDS_H
#define MIG_CLI_COMMANDS_H

#include "backup/diff.h"
#include "cli/cli.h"

bool cmd_init(mig_cli *cli, mig_error *err); /* cmd_project.c */
bool cmd_create(mig_cli *cli, mig_error *err);
bool cmd_list(mig_cli *cli, mig_error *err); /* cmd_status.c */
bool cmd_status(mig_cli *cli, mig_error *err);
bool cmd_validate(mig_cli *cli, mig_error *err);
bool cmd_lint(mig_cli *cli, mig_error *err); /* cmd_lint.c */
void cli_help_lint(mig_cli *cli);
bool cmd_history(mig_cli *cli, mig_error *err); /* cmd_history.c */
bool cmd_plan(mig_cli *cli, mig_error *err);    /* cmd_run.c */
bool cmd_up(mig_cli *cli, mig_error *err);
bool cmd_run(mig_cli *cli, mig_error *err);
bool cmd_down(mig_cli *cli, mig_error *err);
bool cmd_rollback(mig_cli *cli, mig_error *err);
bool cmd_redo(mig_cli *cli, mig_error *err);
bool cmd_recover(mig_cli *cli, mig_error *err);
bool cmd_mark(mig_cli *cli, mig_error *err); /* cmd_mark.c */
bool cmd_record(mig_cli *cli, mig_error *err);
bool cmd_baseline(mig_cli *cli, mig_error *err);
bool cmd_snapshot_create(mig_cli *cli, mig_error *err); /* cmd_snapshot.c */
bool cmd_snapshot_list(mig_cli *cli, mig_error *err);
bool cmd_snapshot_show(mig_cli *cli, mig_error *err);
bool cmd_snapshot_verify(mig_cli *cli, mig_error *err); /* cmd_verify.c */
bool cmd_snapshot_diff(mig_cli *cli, mig_error *err);   /* cmd_diff.c */
bool cmd_snapshot_export(mig_cli *cli, mig_error *err); /* cmd_dump.c */
bool cmd_snapshot_import(mig_cli *cli, mig_error *err);
bool cmd_snapshot_prune(mig_cli *cli, mig_error *err); /* cmd_prune.c */
bool cmd_restore(mig_cli *cli, mig_error *err);        /* cmd_restore.c */
bool cmd_lock_status(mig_cli *cli, mig_error *err);    /* cmd_admin.c */
bool cmd_force_unlock(mig_cli *cli, mig_error *err);
bool cmd_doctor(mig_cli *cli, mig_error *err);
bool cmd_start(mig_cli *cli, mig_error *err);      /* cmd_start.c */
bool cmd_serve(mig_cli *cli, mig_error *err);      /* cmd_serve.c */
bool cmd_version(mig_cli *cli, mig_error *err);    /* cmd_help.c */
bool cmd_completion(mig_cli *cli, mig_error *err); /* cmd_completion.c */
bool cmd_help(mig_cli *cli, mig_error *err);
bool cli_help_topic(mig_cli *cli,
                    const char *topic); /* cmd_topics.c: "steps", "guards", "rules"; false: no such topic */
void cli_man_page(mig_cli *cli);        /* cmd_man.c */
bool cmd_help_for(mig_cli *cli, mig_error *err);

/* An id of the store or a path. Not verified yet. */
bool cli_open_snapshot(mig_cli *cli, const char *name, mig_archive **out, mig_error *err); /* cmd_snapshot.c */
/* Before its documents are read: what only shows a snapshot needs no key. */
bool cli_unlock(mig_cli *cli, mig_archive *a, mig_error *err);
void cli_show_taken(mig_cli *cli, const mig_snapshot_info *info);
bool cli_checkpoint(void *arg, mig_error *err); /* for work without an engine: fails once a signal came */
/* cmd_diff.c: how differences look; both for diff and for a restore's dry run. */
mig_diff_listener cli_diff_listener(mig_cli *cli); /* indexes and options; with --documents also documents */
void cli_diff_row(mig_cli *cli, const mig_restore_collection *row);

#endif

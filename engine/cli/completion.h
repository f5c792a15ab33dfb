/*
 * completion.h - what can stand where on the command line, read off the tables; and the scripts made from it
 *
 * The three writers print a script for their shell on stdout. Nothing in them is written by hand per command: a new row
 * in the table of commands or options is completed without a change here.
 */
#ifndef MIG_CLI_COMPLETION_H
#define MIG_CLI_COMPLETION_H

#include "cli/cli.h"

typedef enum mig_values {
  MIG_VALUES_NONE,
  MIG_VALUES_WORDS, /* one of some words */
  MIG_VALUES_FOLDER,
  MIG_VALUES_FILE,
  MIG_VALUES_MIGRATION, /* asked of `mig list` */
  MIG_VALUES_SNAPSHOT,  /* asked of `mig snapshot list`, or a file */
  MIG_VALUES_COMMAND,   /* of mig, and the help topics */
  MIG_VALUES_PROGRAM    /* any program and its own arguments */
} mig_values;

#define MIG_WORDS 300
/* words gets the choices of MIG_VALUES_WORDS, with blanks between. */
mig_values mig_values_of_option(int option, char words[static MIG_WORDS]);
mig_values mig_values_of_command(const mig_command *c, char words[static MIG_WORDS]);
bool mig_option_fits(const mig_command *c, int option);
/* "snapshot create" is in the group "snapshot"; *first: none of the rows before it is. False without a group. */
bool mig_group_of(const mig_command *c, char group[static 40], bool *first);
/* The aliases of a command, each after a "|": "|migrate"; empty when there is none. */
void mig_aliases_of(const mig_command *c, char out[static MIG_WORDS]);

void mig_completion_bash(mig_cli *cli);
void mig_completion_zsh(mig_cli *cli);
void mig_completion_fish(mig_cli *cli);

#endif

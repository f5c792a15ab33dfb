/*
 * parse.h - words of the command line into command, options and arguments, by the tables of commands and options
 *
 * Options may stand before or after the command, as --name value or --name=value; after "--" all words are arguments.
 * Errors: MIG_E_USAGE with the nearest known name.
 */
#ifndef MIG_CLI_PARSE_H
#define MIG_CLI_PARSE_H

#include "cli/cli.h"

bool mig_cli_parse(mig_cli *cli, int argc, char **argv, mig_error *err);
void mig_cli_words_free(mig_cli *cli); /* what parse() allocated, also when it failed */
/* "snapshot", "create" finds "snapshot create" (words 2); "up", "x" finds "up" (words 1). */
const mig_command *mig_command_find(const char *first, const char *second, int *words);

#endif

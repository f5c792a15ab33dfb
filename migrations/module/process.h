/*
 * process.h - another program, run so that it cannot outlive us: the C compiler, and the host of a module
 *
 *     mig_process_start(argv, true, &p, err) --> p.socket, p.output --> mig_process_end(&p, &status)
 *
 * It gets /dev/null as stdin, a pipe (p.output) as stdout and stderr, as descriptor 3 the other end of p.socket if one
 * was asked for, and nothing else that we have open. It leads a process group of its own, so that a Ctrl-C is ours to
 * handle, and the kernel kills it when the thread that started it dies (Linux). Its environment has none of our MIG_*
 * variables: they hold secrets.
 * Errors: MIG_E_FAILED. Threads: the thread that started it ends it.
 */
#ifndef MIG_MIGRATIONS_MODULE_PROCESS_H
#define MIG_MIGRATIONS_MODULE_PROCESS_H

#include <sys/types.h>

#include "base/mem.h"

#define MIG_PROCESS_SOCKET 3 /* its number in the new process */

typedef struct mig_process {
  pid_t pid;
  int socket, output; /* ours, non-blocking; -1: none, or at its end */
} mig_process;

bool mig_process_start(const char *const *argv, bool with_socket, mig_process *out, mig_error *err);
/* Waits for it at most so long; false: it still runs. *status as waitpid gives it. */
bool mig_process_wait(mig_process *p, int64_t wait_ms, int *status);
/* Kills it and all of its group, and takes what is ours back. Fine for one that has ended or never began. */
void mig_process_end(mig_process *p);
/* "crashed (signal 11: Segmentation fault)", "ended itself with exit code 3" */
void mig_process_explain(int status, char text[static 120]);
/* Runs a program to its end and gathers what it prints (at most 64 KiB). */
bool mig_process_run(const char *const *argv, int64_t limit_ms, mig_buf *output, int *status, mig_error *err);

#endif

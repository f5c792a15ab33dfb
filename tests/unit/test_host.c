/* Who we are, and whether another process of this machine is still there: dead is said only of one that surely is. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "run/host.h"

/* Stands before the C library's: what /proc does that hides other users' processes, or a process without descriptors.
 */
static int stat_fails_with;

FILE *fopen(const char *path, const char *mode) {
  const size_t size = strlen(path);
  const bool stat = strncmp(path, "/proc/", 6) == 0 && size > 5 && strcmp(path + size - 5, "/stat") == 0;
  if (stat && stat_fails_with) {
    errno = stat_fails_with;
    return NULL;
  }
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd >= 0 ? fdopen(fd, mode[0] == 'r' ? "r" : "w") : NULL;
}

static int back_to_normal(void **state) {
  (void)state;
  stat_fails_with = 0;
  return 0;
}

/* A child that waits to be killed, and what a runner in it would have recorded. */
static pid_t child(mig_host *who) {
  int ready[2];
  assert_int_equal(pipe(ready), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    mig_host self;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves none behind */
    mig_host_self(&self);
    if (write(ready[1], &self, sizeof self) != sizeof self) _exit(1);
    for (;;) pause();
  }
  assert_int_equal(read(ready[0], who, sizeof *who), sizeof *who);
  close(ready[0]);
  close(ready[1]);
  assert_int_equal(who->pid, pid);
  if (!who->machine[0] || !who->started) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    print_message("SKIP: /proc does not tell who we are\n");
    skip();
  }
  return pid;
}

static bool dead(const mig_host *who) {
  return mig_host_dead(who->machine, who->pid, who->started);
}

static void end(pid_t pid) {
  kill(pid, SIGKILL);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void process_is_dead_when_it_is_gone_a_zombie_or_another_one(void **state) {
  (void)state;
  mig_host who;
  const pid_t pid = child(&who);
  assert_false(dead(&who));
  assert_true(mig_host_dead(who.machine, who.pid, who.started + 1)); /* its number is taken by another one */
  kill(pid, SIGKILL);
  siginfo_t info;
  assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
  assert_true(dead(&who));
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  assert_true(dead(&who));
}

static void process_that_cannot_be_looked_at_is_not_taken_for_dead(void **state) {
  (void)state;
  static const int errors[] = {ENOENT /* hidepid=2 */, EACCES, EPERM, EMFILE, ENFILE, ENOMEM};
  mig_host who;
  const pid_t pid = child(&who);
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    stat_fails_with = errors[i];
    assert_false(dead(&who));
  }
  end(pid);
  assert_true(dead(&who)); /* the kernel says so, whatever /proc shows */
}

static void process_elsewhere_or_half_recorded_is_never_dead(void **state) {
  (void)state;
  mig_host who;
  end(child(&who));
  assert_true(dead(&who));
  assert_false(mig_host_dead("another boot", who.pid, who.started));
  assert_false(mig_host_dead("", who.pid, who.started));
  assert_false(mig_host_dead(NULL, who.pid, who.started));
  assert_false(mig_host_dead(who.machine, 0, who.started));
  assert_false(mig_host_dead(who.machine, -1, who.started));
  assert_false(mig_host_dead(who.machine, who.pid, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(process_is_dead_when_it_is_gone_a_zombie_or_another_one, back_to_normal),
      cmocka_unit_test_teardown(process_that_cannot_be_looked_at_is_not_taken_for_dead, back_to_normal),
      cmocka_unit_test_teardown(process_elsewhere_or_half_recorded_is_never_dead, back_to_normal),
  };
  return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}

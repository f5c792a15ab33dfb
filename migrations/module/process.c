#include "migrations/module/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define MAX_OUTPUT ((size_t)64 << 10)

extern char **environ;

/* What must not be known there: our own variables, and what the snapshot store is opened with. */
static bool is_withheld(const char *variable) {
  static const char *const starts[] = {"MIG_", "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SESSION_TOKEN="};
  for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
    if (strncmp(variable, starts[i], strlen(starts[i])) == 0) return true;
  return false;
}

/* The environment without these; the strings are borrowed. */
static char **clean_environment(void) {
  size_t n = 0, kept = 0;
  while (environ[n]) n++;
  char **out = mig_alloc((n + 1) * sizeof *out);
  for (size_t i = 0; out && i < n; i++)
    if (!is_withheld(environ[i])) out[kept++] = environ[i];
  return out;
}

static void close_from(unsigned first) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, first, ~0u, 0) == 0) return;
#endif
  long most = sysconf(_SC_OPEN_MAX);
  for (int fd = (int)first; fd < (most > 0 && most < 65536 ? (int)most : 65536); fd++) close(fd);
}

/* In the new process: only what is safe between fork and exec. */
static _Noreturn void become(const char *const *argv, char **environment, pid_t parent, int socket, int output) {
  struct sigaction normal = {.sa_handler = SIG_DFL};
  sigset_t none;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127); /* it died before we could ask for that */
  setpgid(0, 0);
  sigaction(SIGPIPE, &normal, NULL);
  sigaction(SIGXFSZ, &normal, NULL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int null = open("/dev/null", O_RDONLY);
  /* first out of the way of the numbers that they are to have */
  int high_socket = socket < 0 ? -1 : fcntl(socket, F_DUPFD, 10), high_output = fcntl(output, F_DUPFD, 10);
  if (null < 0 || high_output < 0 || (socket >= 0 && high_socket < 0)) _exit(127);
  dup2(null, STDIN_FILENO);
  dup2(high_output, STDOUT_FILENO);
  dup2(high_output, STDERR_FILENO);
  if (socket >= 0) dup2(high_socket, MIG_PROCESS_SOCKET);
  close_from(socket >= 0 ? MIG_PROCESS_SOCKET + 1 : STDERR_FILENO + 1);
  execvpe(argv[0], (char *const *)(uintptr_t)argv, environment);
  dprintf(STDERR_FILENO, "cannot start %s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

static void close_both(int pair[2]) {
  for (int i = 0; i < 2; i++)
    if (pair[i] >= 0) close(pair[i]);
}

bool mig_process_start(const char *const *argv, bool with_socket, mig_process *out, mig_error *err) {
  int sockets[2] = {-1, -1}, pipes[2] = {-1, -1};
  *out = (mig_process){.pid = -1, .socket = -1, .output = -1};
  char **environment = clean_environment();
  pid_t self = getpid();
  bool ok = environment != NULL && pipe2(pipes, O_CLOEXEC) == 0 &&
            (!with_socket || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
  if (ok) {
    out->pid = fork();
    if (out->pid == 0) become(argv, environment, self, sockets[1], pipes[1]);
    ok = out->pid > 0;
  }
  if (ok) {
    setpgid(out->pid, out->pid); /* here too: whoever comes first */
    close(pipes[1]);
    if (with_socket) close(sockets[1]);
    out->output = pipes[0];
    out->socket = sockets[0];
    fcntl(out->output, F_SETFL, O_NONBLOCK);
    if (with_socket) fcntl(out->socket, F_SETFL, O_NONBLOCK);
  } else {
    mig_fail_errno(err, "cannot start %s", argv[0]);
    if (err) err->code = MIG_E_FAILED;
    close_both(sockets);
    close_both(pipes);
  }
  mig_free(environment);
  return ok;
}

bool mig_process_wait(mig_process *p, int64_t wait_ms, int *status) {
  int64_t until = mig_now_monotonic_ms() + wait_ms;
  *status = 0;
  while (p->pid > 0) {
    pid_t got = waitpid(p->pid, status, WNOHANG);
    if (got == p->pid || (got < 0 && errno != EINTR)) { /* or somebody else has taken its status: it has ended */
      kill(-p->pid, SIGKILL);                           /* what it started goes with it */
      p->pid = -1;
    } else if (mig_now_monotonic_ms() >= until) {
      return false;
    } else {
      mig_sleep_ms(5);
    }
  }
  return true;
}

void mig_process_end(mig_process *p) {
  int status = 0;
  if (p->pid > 0) {
    kill(-p->pid, SIGKILL);
    kill(p->pid, SIGKILL);
    mig_process_wait(p, 10000, &status);
  }
  if (p->socket >= 0) close(p->socket);
  if (p->output >= 0) close(p->output);
  *p = (mig_process){.pid = -1, .socket = -1, .output = -1};
}

void mig_process_explain(int status, char text[static 120]) {
  if (WIFSIGNALED(status)) {
    int number = WTERMSIG(status);
    const char *how = number == SIGKILL || number == SIGTERM || number == SIGINT ? "was killed" : "crashed";
    snprintf(text, 120, "%s (signal %d: %.60s)", how, number, strsignal(number));
  } else {
    snprintf(text, 120, "ended itself with exit code %d", WEXITSTATUS(status));
  }
}

bool mig_process_run(const char *const *argv, int64_t limit_ms, mig_buf *output, int *status, mig_error *err) {
  mig_process p;
  int64_t until = mig_now_monotonic_ms() + limit_ms;
  if (!mig_process_start(argv, false, &p, err)) return false;
  bool ok = true;
  while (ok && p.output >= 0) {
    char piece[4096];
    struct pollfd fd = {.fd = p.output, .events = POLLIN};
    poll(&fd, 1, 100);
    ssize_t n = read(p.output, piece, sizeof piece);
    if (n > 0 && output->size + (size_t)n <= MAX_OUTPUT) ok = mig_buf_add(output, piece, (size_t)n, err);
    if (n == 0) break;
    if (mig_now_monotonic_ms() > until)
      ok = mig_fail(err, MIG_E_FAILED, "%s has not ended after %lld s", argv[0], (long long)(limit_ms / 1000));
  }
  if (ok && !mig_process_wait(&p, 5000, status)) ok = mig_fail(err, MIG_E_FAILED, "%s does not end", argv[0]);
  mig_process_end(&p);
  return ok;
}

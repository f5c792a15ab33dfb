#include "migrations/module/child.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "migrations/module/process.h"
#include "migrations/module/wire.h"

#define LOOK_EVERY_MS 200
#define SILENCE_MS    600000
#define LONGEST_LINE  500
#define SETTLE_MS     2000 /* between the end of its socket and the end of the process */

struct mig_child {
  mig_process process;
  mig_child_options options;
  mig_buf in;
  char line[LONGEST_LINE + 1];
  size_t line_size;
  int64_t looked_ms;
};

static bool here;

void mig_module_host_is_here(void) {
  here = true;
}

static const char *host_program(void) {
  const char *named = getenv("MIG_PROGRAM");
  if (here) return "/proc/self/exe";
  if (named && *named) return named;
  return access(MIG_INSTALLED_PROGRAM, X_OK) == 0 ? MIG_INSTALLED_PROGRAM : "mig"; /* on the PATH */
}

static void show_line(mig_child *c) {
  c->line[c->line_size] = 0;
  if (c->line_size && c->options.work)
    mig_say(c->options.work->observer, MIG_INFO, "%s | %s", c->options.name, c->line);
  c->line_size = 0;
}

/* What the process prints: its own words, never mixed into our results. */
static void read_output(mig_child *c) {
  char piece[2048];
  ssize_t n = read(c->process.output, piece, sizeof piece);
  for (ssize_t i = 0; i < n; i++) {
    if (piece[i] == '\n' || c->line_size == LONGEST_LINE) show_line(c);
    if (piece[i] != '\n') c->line[c->line_size++] = piece[i] >= 0 && piece[i] < ' ' ? ' ' : piece[i];
  }
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
    close(c->process.output);
    c->process.output = -1;
  }
}

static bool ended(mig_child *c, mig_error *err) {
  char how[120];
  int status = 0;
  bool known = mig_process_wait(&c->process, SETTLE_MS, &status);
  while (c->process.output >= 0) { /* its last words */
    struct pollfd fd = {.fd = c->process.output, .events = POLLIN};
    if (poll(&fd, 1, known ? 50 : 0) <= 0) break;
    read_output(c);
  }
  show_line(c);
  if (known)
    mig_process_explain(status, how);
  else
    snprintf(how, sizeof how, "closed its connection to mig");
  mig_fail(err, MIG_E_FAILED, "module %s %s", c->options.name, how);
  mig_why(err, "it was in its %s; it writes through mig alone, so it writes nothing any more", c->options.run);
  return mig_hint(err, "correct the module; what it prints is shown above");
}

static bool look(mig_child *c, int64_t waiting_since, mig_error *err) {
  int64_t now = mig_now_monotonic_ms();
  int64_t most = c->options.silence_ms > 0 ? c->options.silence_ms : SILENCE_MS;
  if (now - c->looked_ms < LOOK_EVERY_MS) return true;
  c->looked_ms = now;
  if (c->options.work && !mig_checkpoint(c->options.work, err)) return false;
  if (now - waiting_since < most) return true;
  mig_fail(err, MIG_E_FAILED, "module %s was ended: it hangs", c->options.name);
  mig_why(err, "it has used no service for %lld ms (silence_ms)", (long long)most);
  return mig_hint(err, "let it call mig_ctx_progress() while it computes, or give it a longer silence_ms");
}

/* Waits until its socket can be read (or written), doing meanwhile what has to be done. */
static bool await(mig_child *c, short events, int64_t since, mig_error *err) {
  for (;;) {
    struct pollfd fds[2] = {{.fd = c->process.socket, .events = events}, {.fd = c->process.output, .events = POLLIN}};
    int n = poll(fds, 2, LOOK_EVERY_MS);
    if (n < 0 && errno != EINTR) return mig_fail_errno(err, "module %s: cannot wait for it", c->options.name);
    if (n > 0 && fds[1].revents) read_output(c);
    if (!look(c, since, err)) return false;
    if (n > 0 && fds[0].revents) return true;
  }
}

static bool receive(mig_child *c, bson_t **message, mig_error *err) {
  int64_t since = mig_now_monotonic_ms();
  for (;;) {
    static _Thread_local uint8_t piece[65536];
    if (!mig_wire_take(&c->in, message, err)) return mig_fail_at(err, "module %s", c->options.name);
    if (*message) return true;
    if (!await(c, POLLIN, since, err)) return false;
    ssize_t n = read(c->process.socket, piece, sizeof piece);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) return ended(c, err);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return mig_fail_errno(err, "module %s: cannot hear it", c->options.name);
    if (n > 0 && !mig_buf_add(&c->in, piece, (size_t)n, err)) return false;
  }
}

bool mig_child_receive(mig_child *c, bson_t **message, mig_error *err) {
  *message = NULL;
  if (receive(c, message, err)) return true;
  mig_process_end(&c->process);
  return false;
}

static bool send_all(mig_child *c, const bson_t *message, mig_error *err) {
  const uint8_t *data = bson_get_data(message);
  int64_t since = mig_now_monotonic_ms();
  for (size_t sent = 0; sent < message->len;) {
    if (!await(c, POLLOUT, since, err)) return false;
    ssize_t n = send(c->process.socket, data + sent, message->len - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EPIPE) return ended(c, err);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return mig_fail_errno(err, "module %s: cannot answer it", c->options.name);
    if (n > 0) sent += (size_t)n;
  }
  return true;
}

bool mig_child_send(mig_child *c, const bson_t *message, mig_error *err) {
  if (send_all(c, message, err)) return true;
  mig_process_end(&c->process);
  return false;
}

bool mig_child_start(const mig_child_options *options, mig_child **out, mig_error *err) {
  const char *argv[] = {host_program(), "--module-host", options->name, NULL};
  *out = NULL;
  mig_child *c = mig_alloc(sizeof *c);
  if (!c) return mig_no_memory(err, "module");
  c->options = *options;
  c->in = MIG_BUF(MIG_WIRE_MAX + 65536);
  c->process = (mig_process){.pid = -1, .socket = -1, .output = -1};
  bson_t *begin = BCON_NEW("run", BCON_UTF8(options->run), "path", BCON_UTF8(options->path));
  bool ok = mig_process_start(argv, true, &c->process, err) && mig_child_send(c, begin, err);
  bson_destroy(begin);
  if (ok)
    *out = c;
  else
    mig_child_end(c);
  return ok;
}

void mig_child_end(mig_child *c) {
  if (!c) return;
  mig_process_end(&c->process);
  mig_buf_free(&c->in);
  mig_free(c);
}

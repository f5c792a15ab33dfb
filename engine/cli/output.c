/* What is printed: results on stdout, the rest on stderr; colour and progress only on a terminal. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"

#define PROGRESS_EVERY_MS 150

static const struct {
  const char *name, *code;
} colors[] = {{"red", "\033[31m"}, {"green", "\033[32m"}, {"yellow", "\033[33m"},
              {"bold", "\033[1m"}, {"dim", "\033[2m"},    {"off", "\033[0m"}};

const char *cli_color(const mig_cli *cli, const char *name) {
  for (size_t i = 0; cli->color && i < sizeof colors / sizeof *colors; i++)
    if (strcmp(colors[i].name, name) == 0) return colors[i].code;
  return "";
}

void cli_progress_end(mig_cli *cli) {
  if (cli->progress_shown) fputs("\r\033[K", stderr);
  cli->progress_shown = false;
}

/* Our own colours pass, other escape sequences do not. */
static size_t color_at(const char *text) {
  for (size_t i = 0; i < sizeof colors / sizeof *colors; i++) {
    const size_t n = strlen(colors[i].code);
    if (strncmp(text, colors[i].code, n) == 0) return n;
  }
  return 0;
}

/* Line ends stand where `other` differs: there they are the format's and not a value's. */
static void print_plainly(FILE *to, char *text, const char *other) {
  for (char *part = text, *end = text; *part; part = end) {
    while (*end && *end == other[end - text] && !color_at(end)) end++;
    const char kept = *end;
    *end = 0;
    mig_plain(part);
    fputs(part, to);
    *end = kept;
    const size_t own = kept == '\n' ? 1 : color_at(end);
    fprintf(to, "%.*s", (int)own, end);
    end += own;
  }
}

/* Names and values come from servers, archives and files: nothing in them steers the terminal or begins a line that
 * would look like one of ours. So the text is made twice, once with other line ends in the format. */
static void print_formatted(FILE *to, const char *fmt, va_list ap) {
  va_list again;
  va_copy(again, ap);
  char *text = NULL, *other = NULL, *marked = strdup(fmt);
  for (char *p = marked; p && (p = strchr(p, '\n')) != NULL; p++) *p = '\v';
  if (vasprintf(&text, fmt, ap) < 0) text = NULL;
  if (marked && vasprintf(&other, marked, again) < 0) other = NULL;
  va_end(again);
  if (text && other) print_plainly(to, text, other);
  free(text);
  free(other);
  free(marked);
}

void cli_text(mig_cli *cli, const char *text) {
  if (!cli->json) fputs(text, stdout);
}

void cli_print(mig_cli *cli, const char *fmt, ...) {
  if (cli->json) return;
  cli_progress_end(cli);
  va_list ap;
  va_start(ap, fmt);
  print_formatted(stdout, fmt, ap);
  va_end(ap);
  fflush(stdout);
}

void cli_json(mig_cli *cli, const bson_t *line) {
  if (!cli->json) return;
  char *json = mig_bson_json(line);
  printf("%s\n", json ? json : "{}");
  fflush(stdout);
  mig_free(json);
}

void cli_json_exact(mig_cli *cli, const bson_t *line) {
  if (!cli->json) return;
  char *json = mig_bson_canonical_json(line);
  printf("%s\n", json ? json : "{}");
  fflush(stdout);
  mig_free(json);
}

void cli_note(mig_cli *cli, const char *fmt, ...) {
  if (cli->quiet) return;
  cli_progress_end(cli);
  va_list ap;
  va_start(ap, fmt);
  print_formatted(stderr, fmt, ap);
  va_end(ap);
}

void cli_error(mig_cli *cli, const mig_error *err) {
  cli_progress_end(cli);
  fprintf(stderr, "%serror:%s %s\n", cli_color(cli, "red"), cli_color(cli, "off"), err->what);
  fprintf(stderr, "  why: %s\n", mig_error_why(err));
  fprintf(stderr, "  hint: %s\n", mig_error_hint(err));
}

static void message(void *arg, mig_level level, const char *text) {
  mig_cli *cli = arg;
  if (level == MIG_DEBUG && !cli->verbose) return;
  if (level == MIG_WARNING)
    cli_note(cli, "%swarning:%s %s\n", cli_color(cli, "yellow"), cli_color(cli, "off"), text);
  else
    cli_note(cli, "%s\n", text);
}

static void progress(void *arg, const char *what, uint64_t done, uint64_t total) {
  mig_cli *cli = arg;
  int64_t now = mig_now_monotonic_ms();
  if (cli->quiet || cli->json || !cli->terminal || now - cli->progress_ms < PROGRESS_EVERY_MS) return;
  cli->progress_ms = now;
  cli->progress_shown = true;
  if (total == 0) {
    fprintf(stderr, "\r\033[K  %.60s: %llu", what, (unsigned long long)done);
  } else {
    char bar[31];
    unsigned filled = done >= total ? 30 : (unsigned)(done * 30 / total);
    for (unsigned i = 0; i < 30; i++) bar[i] = i < filled ? '#' : '.';
    bar[30] = 0;
    fprintf(stderr, "\r\033[K  %.40s [%s] %llu of %llu", what, bar, (unsigned long long)done,
            (unsigned long long)total);
  }
  fflush(stderr);
}

mig_observer cli_observer(mig_cli *cli) {
  return (mig_observer){.arg = cli, .message = message, .progress = progress};
}

bool cli_confirm(mig_cli *cli, const char *question, mig_error *err) {
  char answer[16] = "";
  if (cli->opt[OPT_YES]) return true;
  if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
    mig_fail(err, MIG_E_USAGE, "%s needs a confirmation", cli->command->name);
    mig_why(err, "there is no terminal to ask on");
    return mig_hint(err, "add --yes when you are sure; --dry-run shows what would change");
  }
  cli_progress_end(cli);
  fprintf(stderr, "%s Type yes to go on: ", question);
  fflush(stderr);
  if (fgets(answer, sizeof answer, stdin) && strcmp(answer, "yes\n") == 0) return true;
  mig_fail(err, MIG_E_FAILED, "%s was not confirmed", cli->command->name);
  return mig_why(err, "nothing was changed");
}

void cli_bytes(int64_t bytes, char text[static 40]) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = (double)bytes;
  int unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    unit++;
  }
  snprintf(text, 40, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void cli_duration(int64_t ms, char text[static 40]) {
  if (ms >= 1000000)
    snprintf(text, 40, "%lld,%03lld,%03lld ms", (long long)(ms / 1000000), (long long)(ms / 1000 % 1000),
             (long long)(ms % 1000));
  else if (ms >= 1000)
    snprintf(text, 40, "%lld,%03lld ms", (long long)(ms / 1000), (long long)(ms % 1000));
  else
    snprintf(text, 40, "%lld ms", (long long)ms);
}

void cli_local_time(int64_t unix_ms, char text[static 32]) {
  time_t seconds = (time_t)(unix_ms / 1000);
  struct tm tm;
  if (unix_ms <= 0 || !gmtime_r(&seconds, &tm) || strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
    snprintf(text, 32, "-");
}

/* The key for snapshots: from a file, or a passphrase from a file or the terminal. Never from an argument. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

#define PASSPHRASE_MAX 1024

/* A line of what is typed, without its line feed. The terminal's own keys for signals come as bytes. */
static bool type_line(int fd, cc_t interrupt, char *line, size_t room, mig_error *err) {
  size_t n = 0;
  for (;;) {
    char c = 0;
    const ssize_t got = read(fd, &c, 1);
    if ((got < 0 && errno == EINTR && mig_cli_stop) || (got == 1 && (cc_t)c == interrupt))
      return mig_fail(err, MIG_E_INTERRUPTED, "interrupted at the question for a passphrase");
    if (got < 0 && errno == EINTR) continue;
    if (got != 1) return mig_fail(err, MIG_E_USAGE, "no passphrase was given");
    if (c == '\n') break;
    if (n + 1 == room) return mig_fail(err, MIG_E_USAGE, "a passphrase has at most %zu bytes", room - 1);
    line[n++] = c;
  }
  line[n] = 0;
  return true;
}

/* Asks without showing the answer, on the terminal itself: stdin may be a pipe that carries a snapshot. Ctrl-C must not
 * leave a terminal behind that shows nothing: it comes as a byte. */
static bool ask(const char *question, char *line, size_t room, mig_error *err) {
  struct termios shown, hidden;
  int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (fd < 0 || tcgetattr(fd, &shown) != 0) {
    if (fd >= 0) close(fd);
    mig_fail(err, MIG_E_USAGE, "a passphrase is needed");
    mig_why(err, "there is no terminal to ask on");
    return mig_hint(err, "--passphrase-file FILE or MIG_PASSPHRASE_FILE");
  }
  hidden = shown;
  hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
  tcsetattr(fd, TCSAFLUSH, &hidden);
  const bool ok = (write(fd, question, strlen(question)) >= 0 || mig_fail_errno(err, "cannot ask on the terminal")) &&
                  type_line(fd, shown.c_cc[VINTR], line, room, err);
  tcsetattr(fd, TCSAFLUSH, &shown);
  (void)!write(fd, "\n", 1);
  close(fd);
  return ok;
}

/* What is written with a mistyped passphrase can never be read again: only commands that write nothing ask once. A
 * restore writes: the safety snapshot, and what it displaces. */
static bool asks_twice(const mig_cli *cli) {
  static const char *const once[] = {"snapshot verify", "snapshot diff", "snapshot export"};
  for (size_t i = 0; i < sizeof once / sizeof *once; i++)
    if (strcmp(cli->command->name, once[i]) == 0) return false;
  return true;
}

static bool from_terminal(mig_cli *cli, mig_error *err) {
  char first[PASSPHRASE_MAX] = "", again[PASSPHRASE_MAX] = "";
  bool ok = ask("Passphrase of the snapshot: ", first, sizeof first, err);
  if (ok && asks_twice(cli)) {
    ok = ask("The same again: ", again, sizeof again, err);
    if (ok && strcmp(first, again) != 0) ok = mig_fail(err, MIG_E_USAGE, "the two passphrases are not the same");
  }
  ok = ok && mig_key_from_passphrase(first, strlen(first), &cli->key, err);
  explicit_bzero(first, sizeof first);
  explicit_bzero(again, sizeof again);
  return ok;
}

static bool too_many(mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "a key file and a passphrase exclude each other");
  mig_why(err, "they are given in the same place, and a snapshot is encrypted with one key");
  return mig_hint(err, "give one of --key-file, --passphrase-file, --passphrase (or their settings)");
}

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

/* What stands nearer (option, environment, mig.json) takes the place of all that stands farther. */
static bool settle_key(mig_cli *cli, mig_error *err) {
  const char *file = cli->opt[OPT_KEY_FILE], *words = cli->opt[OPT_PASSPHRASE_FILE];
  const bool asks = cli->opt[OPT_PASSPHRASE] != NULL;
  if ((file != NULL) + (words != NULL) + asks > 1) return too_many(err);
  if (asks) return true;
  if (!file && !words) {
    file = variable("MIG_KEY_FILE");
    words = variable("MIG_PASSPHRASE_FILE");
  }
  if (file && words) return too_many(err);
  const bool ok = file || words
                      ? mig_cli_copy(file, &cli->key_file, err) && mig_cli_copy(words, &cli->passphrase_file, err)
                      : mig_cli_from_config(cli, "keyFile", true, &cli->key_file, err) &&
                            mig_cli_from_config(cli, "passphraseFile", true, &cli->passphrase_file, err);
  if (!ok) return false;
  return !(cli->key_file && cli->passphrase_file) || too_many(err);
}

bool mig_cli_settle_keys(mig_cli *cli, mig_error *err) {
  const char *signs = cli->opt[OPT_SIGN_KEY] ? cli->opt[OPT_SIGN_KEY] : variable("MIG_SIGN_KEY_FILE");
  return (signs ? mig_cli_copy(signs, &cli->sign_key_file, err)
                : mig_cli_from_config(cli, "signKey", true, &cli->sign_key_file, err)) &&
         settle_key(cli, err);
}

bool mig_cli_nobody_there(const mig_cli *cli, mig_error *err) {
  if (!cli->opt[OPT_PASSPHRASE]) return true;
  mig_fail(err, MIG_E_USAGE, "%s asks for no passphrase", cli->command->name);
  mig_why(err, "a service starts when nobody is there to type it");
  return mig_hint(err, "--key-file FILE or --passphrase-file FILE (MIG_KEY_FILE, MIG_PASSPHRASE_FILE)");
}

bool mig_cli_key(mig_cli *cli, mig_error *err) {
  if (cli->key) return true;
  if (cli->opt[OPT_PASSPHRASE]) return from_terminal(cli, err);
  if (cli->key_file) return mig_key_from_file(cli->key_file, &cli->key, err);
  return !cli->passphrase_file || mig_key_from_passphrase_file(cli->passphrase_file, &cli->key, err);
}

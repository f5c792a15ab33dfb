/* The key for snapshots: from a file, or a passphrase from a file or the terminal. Never from an argument. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

#define PASSPHRASE_MAX 1024

/* Reads a line from the terminal without showing it. stdin may be a pipe that carries a snapshot. */
static bool ask(const char *question, char *line, size_t room, mig_error *err) {
  struct termios shown, hidden;
  size_t n = 0;
  ssize_t got = 0;
  int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (fd < 0 || tcgetattr(fd, &shown) != 0) {
    if (fd >= 0) close(fd);
    mig_fail(err, MIG_E_USAGE, "a passphrase is needed");
    mig_why(err, "there is no terminal to ask on");
    return mig_hint(err, "--passphrase-file FILE or MIG_PASSPHRASE_FILE");
  }
  hidden = shown;
  hidden.c_lflag &= ~(tcflag_t)ECHO;
  tcsetattr(fd, TCSAFLUSH, &hidden);
  bool ok = write(fd, question, strlen(question)) >= 0;
  while (ok && n + 1 < room && ((got = read(fd, line + n, 1)) == 1 || (got < 0 && errno == EINTR))) {
    if (got == 1 && line[n] == '\n') break;
    if (got == 1) n++;
  }
  line[n] = 0;
  tcsetattr(fd, TCSAFLUSH, &shown);
  ok = write(fd, "\n", 1) >= 0 && ok && got == 1;
  close(fd);
  return ok || mig_fail(err, MIG_E_USAGE, "no passphrase was given");
}

/* What is written with a mistyped passphrase can never be read again: commands that may write first ask twice. */
static bool asks_twice(const mig_cli *cli) {
  static const char *const once[] = {"snapshot verify", "snapshot show", "snapshot list", "snapshot diff",
                                     "snapshot export", "restore",       "recover"};
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

bool mig_cli_key(mig_cli *cli, mig_error *err) {
  if (cli->key) return true;
  char *file = mig_cli_setting(cli, OPT_KEY_FILE, "MIG_KEY_FILE", "keyFile", true, NULL);
  char *words = mig_cli_setting(cli, OPT_PASSPHRASE_FILE, "MIG_PASSPHRASE_FILE", "passphraseFile", true, NULL);
  bool ok = true;
  /* what is given on the command line takes the place of what stands elsewhere */
  const bool asked = cli->opt[OPT_PASSPHRASE] != NULL;
  const bool by_file = cli->opt[OPT_KEY_FILE] || (file && !asked && !cli->opt[OPT_PASSPHRASE_FILE]);
  const bool by_words = cli->opt[OPT_PASSPHRASE_FILE] || (words && !asked && !cli->opt[OPT_KEY_FILE]);
  if ((int)asked + by_file + by_words > 1) {
    mig_fail(err, MIG_E_USAGE, "a key file and a passphrase exclude each other");
    ok = mig_hint(err, "give one of --key-file, --passphrase-file, --passphrase (or their settings)");
  } else if (asked) {
    ok = from_terminal(cli, err);
  } else if (by_file) {
    ok = mig_key_from_file(file, &cli->key, err);
  } else if (by_words) {
    ok = mig_key_from_passphrase_file(words, &cli->key, err);
  }
  mig_free(file);
  mig_free(words);
  return ok;
}

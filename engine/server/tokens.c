#include "server/tokens.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"

#define MOST_TOKENS 1000
#define LEAST_TOKEN 20

typedef struct token {
  char sha256[MIG_SHA256_HEX];
  char name[61];
  mig_scope scope;
} token;

struct mig_tokens {
  token *items;
  size_t count;
};

const char *mig_scope_name(mig_scope scope) {
  static const char *const names[] = {"none", "read", "write"};
  return names[scope];
}

static bool bad_line(const char *path, size_t line, const char *why, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "%s:%zu: this is not a token", path, line);
  mig_why(err, "%s", why);
  return mig_hint(err, "each line: read or write, a token (or sha256:HEX), a name; `openssl rand -hex 32` makes one");
}

static char *word(char **rest) {
  char *begin = *rest + strspn(*rest, " \t\r");
  if (!*begin) return NULL;
  char *end = begin + strcspn(begin, " \t\r");
  *rest = *end ? end + 1 : end;
  *end = 0;
  return begin;
}

/* NULL: fine. */
static const char *read_secret(const char *secret, token *out) {
  static const char prefix[] = "sha256:";
  if (strncmp(secret, prefix, sizeof prefix - 1) == 0) {
    const char *hex = secret + sizeof prefix - 1;
    if (strlen(hex) != 64 || strspn(hex, "0123456789abcdef") != 64) return "behind sha256: stand 64 digits 0-9a-f";
    memcpy(out->sha256, hex, 65);
    return NULL;
  }
  if (strlen(secret) < LEAST_TOKEN) return "a token has at least 20 characters: a shorter one can be guessed";
  return mig_sha256_hex(secret, strlen(secret), out->sha256, NULL) ? NULL : "no memory";
}

static const char *read_line(char *line, token *out) {
  char *scope = word(&line), *secret = word(&line), *name = word(&line);
  if (strcmp(scope, "read") == 0)
    out->scope = MIG_SCOPE_READ;
  else if (strcmp(scope, "write") == 0)
    out->scope = MIG_SCOPE_WRITE;
  else
    return "its first word is neither read nor write";
  if (!secret) return "there is no token behind the scope";
  if (name && (strlen(name) >= sizeof out->name ||
               strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-") != strlen(name)))
    return "a name is of at most 60 letters, digits, _ . @ and -";
  if (name && word(&line)) return "there is more behind the name";
  memcpy(out->name, name ? name : scope, strlen(name ? name : scope) + 1);
  return read_secret(secret, out);
}

static bool add(mig_tokens *t, const token *one, const char *path, size_t line, mig_error *err) {
  for (size_t i = 0; i < t->count; i++)
    if (strcmp(t->items[i].sha256, one->sha256) == 0) return bad_line(path, line, "it stands there twice", err);
  if (t->count == MOST_TOKENS) return bad_line(path, line, "there are more than 1000", err);
  token *grown = mig_realloc(t->items, (t->count + 1) * sizeof *grown);
  if (!grown) return mig_no_memory(err, "tokens");
  t->items = grown;
  t->items[t->count++] = *one;
  return true;
}

static bool parse(mig_tokens *t, const char *path, char *text, mig_error *err) {
  size_t number = 0;
  bool ok = true;
  for (char *line = text, *next; ok && line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    number++;
    line += strspn(line, " \t\r");
    if (!*line || *line == '#') continue;
    token one = {0};
    const char *why = read_line(line, &one);
    ok = why ? bad_line(path, number, why, err) : add(t, &one, path, number, err);
  }
  if (ok && t->count == 0) {
    ok = mig_fail(err, MIG_E_USAGE, "%s holds no token", path);
    mig_hint(err, "each line: read or write, a token (or sha256:HEX), a name");
  }
  return ok;
}

bool mig_tokens_load(const char *path, mig_tokens **out, mig_error *err) {
  mig_buf text = MIG_BUF(1 << 20);
  *out = NULL;
  mig_tokens *t = mig_alloc(sizeof *t);
  if (!t) return mig_no_memory(err, "tokens");
  bool ok = mig_fs_read_secret(path, 1 << 20, &text, err);
  if (ok && text.size && memchr(text.data, 0, text.size)) ok = mig_fail(err, MIG_E_USAGE, "%s is not text", path);
  ok = ok && parse(t, path, text.size ? (char *)text.data : (char[]){""}, err);
  mig_fs_wipe(&text);
  if (ok)
    *out = t;
  else
    mig_tokens_free(t);
  if (!ok && err && err->code != MIG_E_NO_MEMORY) err->code = MIG_E_USAGE;
  return ok;
}

void mig_tokens_free(mig_tokens *t) {
  if (!t) return;
  mig_free(t->items);
  mig_free(t);
}

mig_scope mig_tokens_find(const mig_tokens *t, const char *token_text, const char **name) {
  char sha256[MIG_SHA256_HEX];
  mig_scope scope = MIG_SCOPE_NONE;
  *name = NULL;
  if (!mig_sha256_hex(token_text, strlen(token_text), sha256, NULL)) return scope;
  for (size_t i = 0; i < t->count; i++) { /* all of them: how long it takes tells nothing */
    if (CRYPTO_memcmp(sha256, t->items[i].sha256, 64) != 0) continue;
    scope = t->items[i].scope;
    *name = t->items[i].name;
  }
  return scope;
}

#include "migrations/module/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/user.h"
#include "migrations/embedded.h"
#include "migrations/module/process.h"

#define COMPILE_MS 120000
#define MAX_WORDS  64

static const char *const headers[] = {"mig.h", "mig_module.h"};
#define HEADERS (sizeof headers / sizeof *headers)

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

static char *folder_name(void) {
  const char *named = variable("MIG_MODULE_CACHE"), *xdg = variable("XDG_CACHE_HOME"), *home = variable("HOME");
  if (named) return mig_strdup(named);
  if (xdg && *xdg == '/') return mig_strdup_printf("%s/mig/modules", xdg);
  mig_user user = {0};
  if (!home) mig_user_look(&user);
  if (!home && user.home[0]) home = user.home;
  return mig_strdup_printf("%s/.cache/mig/modules", home ? home : "/nonexistent");
}

/* What stands there is run: nobody else may have been able to put it there. */
static bool is_ours(const char *path, bool folder, mig_error *err) {
  struct stat st;
  if (lstat(path, &st) != 0) return mig_fail_errno(err, "cannot look at %s", path);
  const char *why = folder                 ? !S_ISDIR(st.st_mode) ? "it is not a folder" : NULL
                    : !S_ISREG(st.st_mode) ? "it is not a file"
                                           : NULL;
  if (!why && st.st_uid != geteuid()) why = "it belongs to somebody else";
  if (!why && (st.st_mode & (folder ? 077u : 022u)) != 0)
    why = folder ? "others may enter it (its mode must be 0700)" : "others may write to it";
  if (!why) return true;
  mig_fail(err, MIG_E_STORE, "%s cannot be used for compiled modules", path);
  mig_why(err, "%s, and what is in it is run", why);
  return mig_hint(err, "remove it, or name another folder in MIG_MODULE_CACHE");
}

static bool open_folder(char **out, mig_error *err) {
  *out = folder_name();
  if (!*out) return mig_no_memory(err, "module cache");
  if (mig_fs_make_folder(*out, 0700, err) && is_ours(*out, true, err)) return true;
  if (err && !err->hint[0]) mig_hint(err, "name another folder in MIG_MODULE_CACHE");
  return false;
}

/* Blank-separated words of `text` (changed) to the list; no quoting. */
static bool add_words(const char **argv, size_t *n, char *text, const char *variable_name, mig_error *err) {
  char *rest = NULL;
  for (char *word = text ? strtok_r(text, " \t\n", &rest) : NULL; word; word = strtok_r(NULL, " \t\n", &rest)) {
    if (*n >= MAX_WORDS - 16) return mig_fail(err, MIG_E_USAGE, "%s has too many words", variable_name);
    argv[(*n)++] = word;
  }
  return true;
}

static bool put_headers(const char *folder, mig_error *err) {
  for (size_t i = 0; i < HEADERS; i++) {
    const mig_embedded *h = mig_embedded_find("include", headers[i]);
    char *path = mig_fs_join(folder, h->name);
    bool ok = path ? mig_fs_exists(path) || mig_fs_write_atomic(path, h->text, h->size, 0600, err)
                   : mig_no_memory(err, "path");
    mig_free(path);
    if (!ok) return false;
  }
  return true;
}

/* The lines that say what is wrong, in one; the first line when none says "error". */
static void tell_compiler(const mig_buf *output, mig_error *err) {
  char why[1000] = "", first[300];
  snprintf(first, sizeof first, "%.*s", (int)strcspn(mig_buf_text(output), "\n"), mig_buf_text(output));
  char *text = mig_strdup(mig_buf_text(output)), *rest = NULL;
  for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest)) {
    if (!strstr(line, "error")) continue;
    size_t used = strlen(why);
    snprintf(why + used, sizeof why - used, "%s%s", used ? "; " : "", line);
  }
  mig_why(err, "%s", why[0] ? why : first);
  mig_free(text);
}

static bool explain(const char *path, const char *compiler, int status, const mig_buf *output, mig_error *err) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    mig_fail(err, MIG_E_INPUT, "%s: there is no C compiler to make a module of it", path);
    tell_compiler(output, err);
    return mig_hint(
        err, "install one or name it in CC; or put a compiled .so in its place; or fill MIG_MODULE_CACHE elsewhere");
  }
  mig_fail(err, MIG_E_INPUT, "%s does not compile", path);
  tell_compiler(output, err);
  return mig_hint(err, "correct it; only <mig.h> and installed headers can be included (%s, MIG_MODULE_CFLAGS)",
                  compiler);
}

static bool run_compiler(const char *path, const char *folder, const char *c_path, const char *partial,
                         mig_error *err) {
  const char *argv[MAX_WORDS] = {NULL};
  size_t n = 0;
  int status = 0;
  mig_buf output = MIG_BUF((size_t)64 << 10);
  char *compiler = mig_strdup(variable("CC") ? variable("CC") : "cc"), *include = mig_strdup_printf("-I%s", folder);
  char *flags = mig_strdup(variable("MIG_MODULE_CFLAGS")), *libraries = mig_strdup(variable("MIG_MODULE_LIBS"));
  static const char *const own[] = {
      "-std=gnu11", "-O2", "-g", "-fPIC", "-shared", "-Wall", "-Werror=implicit-function-declaration"};
  bool ok = (compiler && include) || mig_no_memory(err, "compiler");
  ok = ok && add_words(argv, &n, compiler, "CC", err);
  for (size_t i = 0; ok && i < sizeof own / sizeof *own; i++) argv[n++] = own[i];
  if (ok) argv[n++] = include;
  ok = ok && add_words(argv, &n, flags, "MIG_MODULE_CFLAGS", err);
  if (ok) {
    argv[n++] = "-o";
    argv[n++] = partial;
    argv[n++] = c_path;
  }
  ok = ok && add_words(argv, &n, libraries, "MIG_MODULE_LIBS", err);
  ok = ok && mig_process_run(argv, COMPILE_MS, &output, &status, err);
  if (ok && status != 0) ok = explain(path, argv[0], status, &output, err);
  mig_buf_free(&output);
  mig_free(libraries);
  mig_free(flags);
  mig_free(include);
  mig_free(compiler);
  return ok;
}

/* The compiler's messages shall name the user's file. */
static bool write_source(const char *path, const mig_buf *source, const char *c_path, mig_error *err) {
  mig_buf text = MIG_BUF(source->size + 5000);
  bool ok = mig_buf_printf(&text, err, "#line 1 \"%.4000s\"\n", path) &&
            mig_buf_add(&text, source->data, source->size, err) &&
            mig_fs_write_atomic(c_path, text.data, text.size, 0600, err);
  mig_buf_free(&text);
  return ok;
}

static bool compile(const char *path, const mig_buf *source, const char *folder, const char *so_path, mig_error *err) {
  char random[17];
  if (!mig_random_hex(8, random, err)) return false;
  char *partial = mig_strdup_printf("%s.%s.partial", so_path, random);
  char *c_path = mig_strdup_printf("%s.%s.c", so_path, random);
  bool ok = (partial && c_path) || mig_no_memory(err, "path");
  ok = ok && put_headers(folder, err) && write_source(path, source, c_path, err) &&
       run_compiler(path, folder, c_path, partial, err);
  /* on disk first: a power cut would leave an empty one, which is never compiled again */
  ok = ok && mig_fs_sync_file(partial, err);
  if (ok && (chmod(partial, 0700) != 0 || rename(partial, so_path) != 0))
    ok = mig_fail_errno(err, "cannot keep the compiled module as %s", so_path);
  if (partial) unlink(partial);
  if (c_path) unlink(c_path);
  mig_free(c_path);
  mig_free(partial);
  return ok;
}

/* Where it is depends on all that makes it what it is, but for the compiler: see cache.h. */
static bool key_of(const mig_buf *source, char hex[static MIG_SHA256_HEX], mig_error *err) {
  mig_hash *h = NULL;
  const char *flags[] = {variable("MIG_MODULE_CFLAGS"), variable("MIG_MODULE_LIBS")};
  if (!mig_hash_new(&h, err)) return false;
  mig_hash_add(h, source->data, source->size);
  for (size_t i = 0; i < HEADERS; i++) {
    const mig_embedded *header = mig_embedded_find("include", headers[i]);
    mig_hash_add(h, header->text, header->size);
  }
  for (size_t i = 0; i < 2; i++) mig_hash_add(h, flags[i] ? flags[i] : "", (flags[i] ? strlen(flags[i]) : 0) + 1);
  mig_hash_hex(h, hex);
  mig_hash_free(h);
  return true;
}

bool mig_module_compile(const char *path, const mig_buf *source, char **so_path, mig_error *err) {
  char key[MIG_SHA256_HEX], version[MIG_SHA256_HEX];
  char *folder = NULL, *include = NULL;
  *so_path = NULL;
  bool ok = key_of(source, key, err) && key_of(&(mig_buf){0}, version, err) && open_folder(&folder, err);
  if (ok) *so_path = mig_strdup_printf("%s/%s.so", folder, key);
  /* each version of the headers in a folder of its own */
  if (ok) include = mig_strdup_printf("%s/include-%.12s", folder, version);
  ok = ok && ((*so_path && include) || mig_no_memory(err, "module cache"));
  if (ok && !mig_fs_exists(*so_path))
    ok = mig_fs_make_folder(include, 0700, err) && compile(path, source, include, *so_path, err);
  ok = ok && is_ours(*so_path, false, err);
  if (!ok) {
    mig_free(*so_path);
    *so_path = NULL;
  }
  mig_free(include);
  mig_free(folder);
  return ok;
}

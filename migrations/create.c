#include "migrations/create.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "migrations/naming.h"
#include "migrations/templates.h"

static bool words_ok(const char *words, mig_error *err) {
  size_t good = strspn(words, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
  if (*words && !words[good] && strlen(words) <= 100) return true;
  mig_fail(err, MIG_E_USAGE, "\"%.60s\" cannot be part of a file name of a migration", words);
  return mig_hint(err, "letters, digits, - and _, at most 100");
}

typedef struct file_names {
  char **items;
  size_t count;
} file_names;

static bool remember(void *arg, const char *path, mig_error *err) {
  file_names *n = arg;
  char **grown = mig_realloc(n->items, (n->count + 1) * sizeof(char *));
  if (!grown) return mig_no_memory(err, "list of migrations");
  n->items = grown;
  n->items[n->count] = mig_strdup(path);
  return n->items[n->count++] || mig_no_memory(err, "list of migrations");
}

/* The numbering that the folder has goes on. */
static bool next_path(const char *folder, const char *words, const char *ending, char **out, mig_error *err) {
  file_names names = {0};
  char *file = NULL;
  bool ok = mig_folder_each(folder, remember, &names, err);
  char *name = ok ? mig_name_next((const char *const *)names.items, names.count, mig_now_unix_ms(), words) : NULL;
  if (name && (file = mig_strdup_printf("%s%s", name, ending))) *out = mig_fs_join(folder, file);
  if (ok && !*out) ok = mig_no_memory(err, "name");
  mig_free(file);
  mig_free(name);
  for (size_t i = 0; i < names.count; i++) mig_free(names.items[i]);
  mig_free(names.items);
  return ok;
}

static bool template_text(const mig_create_options *o, char **text, const char **ending, mig_error *err) {
  const mig_embedded *template = mig_template_find(o->template_name);
  if (template && o->declarative && strcmp(mig_template_ending(template), ".json") != 0)
    return mig_fail(err, MIG_E_USAGE, "the template \"%.40s\" is not of a declarative migration", o->template_name);
  if (template) {
    *text = mig_template_text(o->template_name, o->words);
    *ending = mig_template_ending(template);
    return *text || mig_no_memory(err, "template");
  }
  char *names = mig_template_names();
  mig_fail(err, MIG_E_USAGE, "there is no template \"%.40s\"", o->template_name);
  mig_hint(err, "there are: %s", names ? names : "");
  mig_free(names);
  return false;
}

/* A file with the version of another one would stop every run. */
static bool fits(const mig_create_options *o, const mig_migration *m, mig_error *err) {
  mig_folder *f = NULL;
  if (!o->text) return true; /* a template's version is its number */
  if (!mig_folder_load(o->folder, o->check, &f, err)) return false;
  bool ok = true;
  for (size_t i = 0; ok && i < f->count; i++) {
    if (strcmp(f->items[i]->version, m->version) != 0) continue;
    ok = mig_fail(err, MIG_E_INPUT, "%s has the version %.80s already", f->items[i]->path, m->version);
    mig_hint(err, "give the new migration another \"version\", or leave it out");
  }
  mig_folder_free(f);
  return ok;
}

static bool write_new(const char *path, const char *text, mig_error *err) {
  char random[17], *draft = NULL;
  bool ok = mig_random_hex(8, random, err);
  if (ok && !(draft = mig_strdup_printf("%s.%s.tmp", path, random))) ok = mig_no_memory(err, "path");
  ok = ok && mig_fs_write_atomic(draft, text, strlen(text), 0644, err);
  if (ok && !mig_fs_publish(draft, path, err)) {
    ok = false;
    unlink(draft);
    if (mig_fs_exists(path)) {
      mig_fail(err, MIG_E_USAGE, "%s exists already", path);
      mig_hint(err, "somebody made one at the same time: try again");
    }
  }
  mig_free(draft);
  return ok;
}

/* Loads the text as if it stood in the file already. */
static bool try_text(const mig_create_options *o, const char *path, const char *text, mig_migration **out,
                     mig_error *err) {
  mig_buf copy = MIG_BUF(strlen(text) + 1); /* the parser takes it, and rewrites it */
  return mig_buf_add(&copy, text, strlen(text), err) && mig_migration_parse(path, &copy, o->check, out, err) &&
         fits(o, *out, err);
}

bool mig_create(const mig_create_options *o, char **path, mig_migration **out, mig_error *err) {
  mig_migration *m = NULL;
  char *text = NULL;
  const char *ending = ".json";
  *path = NULL;
  if (out) *out = NULL;
  bool ok = words_ok(o->words, err);
  if (ok && o->text && !(text = mig_strdup(o->text))) ok = mig_no_memory(err, "migration");
  ok = ok && (text || template_text(o, &text, &ending, err)) && next_path(o->folder, o->words, ending, path, err) &&
       (strcmp(ending, ".json") != 0 || try_text(o, *path, text, &m, err)) && write_new(*path, text, err);
  if (ok && out) {
    *out = m;
    m = NULL;
  }
  if (!ok) {
    mig_free(*path);
    *path = NULL;
  }
  mig_migration_free(m);
  mig_free(text);
  return ok;
}

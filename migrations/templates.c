#include "migrations/templates.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

#define PLACE "{{description}}"

const char *mig_template_ending(const mig_embedded *file) {
  return strrchr(file->name, '.');
}

static size_t name_size(const mig_embedded *file) {
  return (size_t)(mig_template_ending(file) - file->name);
}

const mig_embedded *mig_template_find(const char *name) {
  for (const mig_embedded *f = mig_embedded_files; f->name; f++)
    if (strcmp(f->folder, "templates") == 0 && strlen(name) == name_size(f) &&
        strncmp(f->name, name, name_size(f)) == 0)
      return f;
  return NULL;
}

/* "add-email_address" becomes "Add email address". */
static void to_sentence(char *words) {
  for (char *p = words; *p; p++)
    if (*p == '-' || *p == '_') *p = ' ';
  *words = (char)toupper((unsigned char)*words);
}

char *mig_template_text(const char *name, const char *words) {
  const mig_embedded *row = mig_template_find(name);
  char *sentence = row ? mig_strdup(words) : NULL, *out = NULL;
  if (!sentence) return NULL;
  const char *place = strstr(row->text, PLACE);
  to_sentence(sentence);
  if (place)
    out = mig_strdup_printf("%.*s%s%s", (int)(place - row->text), row->text, sentence, place + strlen(PLACE));
  else
    out = mig_strdup(row->text);
  mig_free(sentence);
  return out;
}

char *mig_template_names(void) {
  mig_buf list = MIG_BUF(4096);
  for (const mig_embedded *f = mig_embedded_files; f->name; f++)
    if (strcmp(f->folder, "templates") == 0 &&
        !mig_buf_printf(&list, NULL, "%s%.*s", list.size ? ", " : "", (int)name_size(f), f->name))
      break;
  char *out = mig_strdup(mig_buf_text(&list));
  mig_buf_free(&list);
  return out;
}

const char *mig_template_workflow(void) {
  return mig_embedded_find("workflows", "migration-ci.yml")->text;
}

#include "migrations/templates.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

#define PLACE "{{description}}"

const mig_template_row *mig_template_find(const char *name) {
  for (const mig_template_row *row = mig_template_table; row->name; row++)
    if (strcmp(row->name, name) == 0) return row;
  return NULL;
}

/* "add-email_address" becomes "Add email address". */
static void to_sentence(char *words) {
  for (char *p = words; *p; p++)
    if (*p == '-' || *p == '_') *p = ' ';
  *words = (char)toupper((unsigned char)*words);
}

char *mig_template_text(const char *name, const char *words) {
  const mig_template_row *row = mig_template_find(name);
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
  for (const mig_template_row *row = mig_template_table; row->name; row++)
    if (!mig_buf_printf(&list, NULL, "%s%s", list.size ? ", " : "", row->name)) break;
  char *out = mig_strdup(mig_buf_text(&list));
  mig_buf_free(&list);
  return out;
}

const char *mig_template_workflow(void) {
  return "name: migrations\n"
         "on: [pull_request]\n"
         "jobs:\n"
         "  dry-run:\n"
         "    runs-on: ubuntu-latest\n"
         "    steps:\n"
         "      - uses: actions/checkout@v4\n"
         "      # mig must be on the PATH here: build it or take your package of it\n"
         "      - run: mig validate && mig up --dry-run\n"
         "        env:\n"
         "          MIG_URI: ${{ secrets.MIG_URI }}\n";
}

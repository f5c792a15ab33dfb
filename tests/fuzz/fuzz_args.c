/* The command line: one word a line. */
#include <string.h>

#include "cli/parse.h"
#include "fuzz.h"

#define WORDS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1), *words[WORDS + 2] = {(char *)(uintptr_t) "mig"};
  int count = 1;
  memcpy(text, data, size);
  text[size] = 0;
  for (size_t i = 0; i < size; i++)
    if (text[i] == '\n') text[i] = 0;
  for (char *p = text; count <= WORDS && p < text + size; p += strlen(p) + 1) words[count++] = p;
  mig_cli cli = {0};
  mig_error err = {0};
  if (!mig_cli_parse(&cli, count, words, &err) && (err.code != MIG_E_USAGE || !err.what[0])) abort();
  mig_cli_words_free(&cli);
  free(text);
  return 0;
}

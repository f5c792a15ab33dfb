/* A stranger's program: no server is there, so the library must say so, with a hint and without a secret. */
#include <mig.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  mig_error err = {0};
  mig_engine *m = NULL;
  const mig_settings s = {.uri = "mongodb://u:secret@127.0.0.1:1/app?serverSelectionTimeoutMS=200"};
  if (mig_open(&s, &m, &err)) return 1;
  if (m || mig_code_exit(err.code) != 1 || !err.hint[0] || strstr(err.what, "secret") || strstr(err.why, "secret"))
    return 2;
  mig_close(m);
  printf("libmig: %s (%s)\n", err.what, mig_code_name(err.code));
  return 0;
}

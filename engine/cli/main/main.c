#include <stdlib.h>

#include "cli/cli.h"

int main(int argc, char **argv) {
  /* libmongoc 1.30+ logs that a client was made before it can be told to be silent (base/db.c). */
  unsetenv("MONGODB_LOG_ALL");
  unsetenv("MONGODB_LOG_CONNECTION");
  return mig_cli_main(argc, argv);
}

#include "base/user.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

static void copy(const char *from, char *to, size_t size) {
  size_t n = from ? strlen(from) : 0;
  if (n < size) memcpy(to, from ? from : "", n + 1);
}

void mig_user_look(mig_user *out) {
  struct passwd entry, *found = NULL;
  char texts[16384];
  memset(out, 0, sizeof *out);
  if (getpwuid_r(geteuid(), &entry, texts, sizeof texts, &found) != 0 || !found) return;
  copy(found->pw_name, out->name, sizeof out->name);
  copy(found->pw_dir, out->home, sizeof out->home);
}

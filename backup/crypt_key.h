/*
 * crypt_key.h - the inside of a key, and files that hold secrets; for the files crypt*.c and sign_key.c only
 */
#ifndef MIG_BACKUP_CRYPT_KEY_H
#define MIG_BACKUP_CRYPT_KEY_H

#include "backup/crypt.h"

struct mig_key {
  bool passphrase;
  size_t size;
  uint8_t bytes[MIG_KEY_FILE_MAX];
};

/* A secret that others can read is none: refused, MIG_E_USAGE. `out` also then holds what was read: wipe it. */
bool mig_secret_read(const char *path, size_t maximum, mig_buf *out, mig_error *err);
void mig_secret_wipe(mig_buf *b);

#endif

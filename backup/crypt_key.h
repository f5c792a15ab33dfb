/*
 * crypt_key.h - the inside of a key; for the files crypt*.c and sign_key.c only
 */
#ifndef MIG_BACKUP_CRYPT_KEY_H
#define MIG_BACKUP_CRYPT_KEY_H

#include "backup/crypt.h"

struct mig_key {
  bool passphrase;
  size_t size;
  uint8_t bytes[MIG_KEY_FILE_MAX];
};

#endif

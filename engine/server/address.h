/*
 * address.h - where to listen, and whether only this machine can reach it
 */
#ifndef MIG_SERVER_ADDRESS_H
#define MIG_SERVER_ADDRESS_H

#include <sys/socket.h>

#include "base/error.h"

typedef struct mig_address {
  struct sockaddr_storage socket;
  socklen_t size;
  bool loopback, v6;
  char host[100]; /* as given, without brackets */
} mig_address;

/* "127.0.0.1:8737", "[::1]:0", "localhost:8737". MIG_E_USAGE for anything else. */
bool mig_address_parse(const char *text, mig_address *out, mig_error *err);
/* A number for the client: of IPv6 only the network (/64), which is what one client can choose from. */
void mig_address_key(const struct sockaddr *from, unsigned char key[static 16]);

#endif

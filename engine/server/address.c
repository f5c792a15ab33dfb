#include "server/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool refuse(const char *text, const char *why, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "cannot listen on \"%.100s\"", text);
  mig_why(err, "%s", why);
  return mig_hint(err, "HOST:PORT, such as 127.0.0.1:8737 or [::1]:8737");
}

/* Splits at the last colon; an IPv6 address stands in brackets. */
static bool split(const char *text, char *host, size_t size, char port[static 6], mig_error *err) {
  const char *colon = strrchr(text, ':'), *begin = text, *end = colon;
  if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5 || !colon[1] ||
      atoi(colon + 1) > 65535)
    return refuse(text, "there is no port at its end", err);
  if (*begin == '[') {
    begin++;
    if (end[-1] != ']') return refuse(text, "the bracket is not closed before the port", err);
    end--;
  } else if (memchr(begin, ':', (size_t)(end - begin))) {
    return refuse(text, "an IPv6 address stands in brackets", err);
  }
  if (end <= begin || (size_t)(end - begin) >= size) return refuse(text, "the host is missing or too long", err);
  snprintf(host, size, "%.*s", (int)(end - begin), begin);
  snprintf(port, 6, "%s", colon + 1);
  return true;
}

static bool is_loopback(const struct sockaddr *a) {
  if (a->sa_family == AF_INET) {
    struct sockaddr_in v4;
    memcpy(&v4, a, sizeof v4);
    return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  }
  struct sockaddr_in6 v6;
  memcpy(&v6, a, sizeof v6);
  return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

bool mig_address_parse(const char *text, mig_address *out, mig_error *err) {
  char port[6];
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
  memset(out, 0, sizeof *out);
  if (!split(text, out->host, sizeof out->host, port, err)) return false;
  int failed = getaddrinfo(out->host, port, &hints, &found);
  if (failed) return refuse(text, gai_strerror(failed), err);
  memcpy(&out->socket, found->ai_addr, found->ai_addrlen);
  out->size = found->ai_addrlen;
  out->v6 = found->ai_family == AF_INET6;
  out->loopback = is_loopback(found->ai_addr);
  freeaddrinfo(found);
  return true;
}

void mig_address_key(const struct sockaddr *from, unsigned char key[static 16]) {
  memset(key, 0, 16);
  if (from && from->sa_family == AF_INET) {
    struct sockaddr_in v4;
    memcpy(&v4, from, sizeof v4);
    key[0] = 4;
    memcpy(key + 1, &v4.sin_addr, 4);
  } else if (from && from->sa_family == AF_INET6) {
    struct sockaddr_in6 v6;
    memcpy(&v6, from, sizeof v6);
    key[0] = 6;
    memcpy(key + 1, &v6.sin6_addr, 8);
  }
}

#include "server/limits.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/address.h"

#define ADDRESSES     1024
#define SLOTS         256
#define BURST_SECONDS 4

typedef struct bucket {
  unsigned char key[16];
  double left;
  int64_t at_ms; /* 0: free */
} bucket;

struct mig_slot {
  int fd; /* -1: free */
  int64_t until_ms;
};

struct mig_limits {
  pthread_mutex_t mutex;
  double per_second;
  bucket buckets[ADDRESSES];
  mig_slot slots[SLOTS];
};

mig_limits *mig_limits_new(double per_second) {
  mig_limits *l = mig_alloc(sizeof *l);
  if (!l) return NULL;
  pthread_mutex_init(&l->mutex, NULL);
  l->per_second = per_second;
  for (size_t i = 0; i < SLOTS; i++) l->slots[i].fd = -1;
  return l;
}

void mig_limits_free(mig_limits *l) {
  if (!l) return;
  pthread_mutex_destroy(&l->mutex);
  mig_free(l);
}

/* The address's own, else a free one, else the one unused for longest: it is as good as full again. */
static bucket *find(mig_limits *l, const unsigned char key[static 16]) {
  bucket *oldest = &l->buckets[0];
  for (size_t i = 0; i < ADDRESSES; i++) {
    bucket *b = &l->buckets[i];
    if (b->at_ms && memcmp(b->key, key, sizeof b->key) == 0) return b;
    if (b->at_ms < oldest->at_ms) oldest = b;
  }
  memcpy(oldest->key, key, sizeof oldest->key);
  oldest->at_ms = 0;
  return oldest;
}

bool mig_limits_allow(mig_limits *l, const struct sockaddr *from, double cost) {
  unsigned char key[16];
  const double most = l->per_second * BURST_SECONDS;
  int64_t now = mig_now_monotonic_ms();
  mig_address_key(from, key);
  pthread_mutex_lock(&l->mutex);
  bucket *b = find(l, key);
  b->left = b->at_ms ? b->left + (double)(now - b->at_ms) / 1000 * l->per_second : most;
  if (b->left > most) b->left = most;
  b->at_ms = now ? now : 1;
  bool ok = b->left >= 1;
  if (ok) b->left -= cost; /* may go below nothing: what costs much is paid for by waiting */
  pthread_mutex_unlock(&l->mutex);
  return ok;
}

mig_slot *mig_limits_open(mig_limits *l, int fd, int64_t ms) {
  mig_slot *slot = NULL;
  pthread_mutex_lock(&l->mutex);
  for (size_t i = 0; i < SLOTS && !slot; i++)
    if (l->slots[i].fd < 0) slot = &l->slots[i];
  if (slot) *slot = (mig_slot){fd, mig_now_monotonic_ms() + ms};
  pthread_mutex_unlock(&l->mutex);
  return slot;
}

void mig_limits_extend(mig_limits *l, mig_slot *slot, int64_t ms) {
  if (!slot) return;
  pthread_mutex_lock(&l->mutex);
  slot->until_ms = mig_now_monotonic_ms() + ms;
  pthread_mutex_unlock(&l->mutex);
}

void mig_limits_close(mig_limits *l, mig_slot *slot) {
  if (!slot) return;
  pthread_mutex_lock(&l->mutex);
  slot->fd = -1;
  pthread_mutex_unlock(&l->mutex);
}

void mig_limits_sweep(mig_limits *l) {
  int64_t now = mig_now_monotonic_ms();
  pthread_mutex_lock(&l->mutex);
  for (size_t i = 0; i < SLOTS; i++)
    if (l->slots[i].fd >= 0 && l->slots[i].until_ms < now) {
      shutdown(l->slots[i].fd, SHUT_RDWR); /* its thread sees the end and closes it */
      l->slots[i].until_ms = INT64_MAX;
    }
  pthread_mutex_unlock(&l->mutex);
}

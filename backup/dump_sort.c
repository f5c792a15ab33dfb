#include "backup/dump_sort.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/doc_id.h"
#include "backup/doc_order.h"

#define MEMORY_BYTES  (16u << 20)
#define RECORD_MAX    (17u << 20) /* an _id may be nearly as large as a document */
#define READ_BYTES    (64u << 10)
#define RUN_ROOM_GROW 64u

/* In memory and on disk alike; behind it the key: a document {"_id": ...}, or nothing. */
typedef struct record {
  uint32_t key_bytes, collection;
  uint64_t number; /* in the order of add() */
  uint64_t offset;
  uint32_t bytes, unused;
} record;

typedef struct run {
  uint64_t at, end; /* in the file: what is not read yet */
  mig_buf head;     /* read and not given yet */
  size_t used;      /* of it */
} run;

struct mig_dump_sort {
  mig_buf records;
  size_t *index; /* where each begins in `records` */
  size_t count, room, next;
  uint64_t number;
  bool ascending;
  char *folder;
  int fd;
  uint64_t file_bytes;
  run *runs;
  size_t run_count;
};

bool mig_dump_temp(const char *folder, int *fd, mig_error *err) {
  char *name = NULL;
  *fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (*fd >= 0) return true;
  /* not every file system has unnamed files */
  if (!(name = mig_strdup_printf("%s/.mig-spool-XXXXXX", folder))) return mig_no_memory(err, "path");
  *fd = mkostemp(name, O_CLOEXEC);
  if (*fd >= 0) unlink(name);
  mig_free(name);
  return *fd >= 0 || mig_fail_errno(err, "cannot write a temporary file in %s", folder);
}

bool mig_dump_sort_new(const char *folder, size_t memory_bytes, mig_dump_sort **out, mig_error *err) {
  *out = NULL;
  mig_dump_sort *s = mig_alloc(sizeof *s);
  if (!s) return mig_no_memory(err, "sorting");
  s->fd = -1;
  s->ascending = true;
  s->records = MIG_BUF((memory_bytes ? memory_bytes : MEMORY_BYTES) + RECORD_MAX);
  if (!(s->folder = mig_strdup(folder))) {
    mig_dump_sort_free(s);
    return mig_no_memory(err, "sorting");
  }
  *out = s;
  return true;
}

void mig_dump_sort_free(mig_dump_sort *s) {
  if (!s) return;
  for (size_t i = 0; i < s->run_count; i++) mig_buf_free(&s->runs[i].head);
  mig_free(s->runs);
  if (s->fd >= 0) close(s->fd);
  mig_buf_free(&s->records);
  mig_free(s->index);
  mig_free(s->folder);
  mig_free(s);
}

static int order(const uint8_t *a, const uint8_t *b) {
  record x, y;
  bson_t i, k;
  bson_iter_t p, q;
  memcpy(&x, a, sizeof x);
  memcpy(&y, b, sizeof y);
  if (x.collection != y.collection) return x.collection > y.collection ? 1 : -1;
  if (x.key_bytes && y.key_bytes && bson_init_static(&i, a + sizeof x, x.key_bytes) &&
      bson_init_static(&k, b + sizeof y, y.key_bytes) && bson_iter_init(&p, &i) && bson_iter_init(&q, &k) &&
      bson_iter_next(&p) && bson_iter_next(&q)) {
    const int by_id = mig_value_order(&p, &q);
    if (by_id) return by_id;
    const size_t common = x.key_bytes < y.key_bytes ? x.key_bytes : y.key_bytes;
    const int by_bytes = memcmp(a + sizeof x, b + sizeof y, common);
    if (by_bytes) return by_bytes;
  }
  return x.number > y.number ? 1 : x.number < y.number ? -1 : 0;
}

static int order_indexed(const void *a, const void *b, void *records) {
  const uint8_t *base = records;
  return order(base + *(const size_t *)a, base + *(const size_t *)b);
}

static void sort_memory(mig_dump_sort *s) {
  if (!s->ascending) qsort_r(s->index, s->count, sizeof *s->index, order_indexed, s->records.data);
  s->ascending = true;
}

static bool write_at_end(mig_dump_sort *s, const void *data, size_t size, mig_error *err) {
  for (size_t done = 0; done < size;) {
    const ssize_t n = pwrite(s->fd, (const uint8_t *)data + done, size - done, (off_t)s->file_bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mig_fail_errno(err, "cannot write a temporary file in %s", s->folder);
    done += (size_t)n;
    s->file_bytes += (uint64_t)n;
  }
  return true;
}

static size_t record_bytes(const uint8_t *at) {
  record r;
  memcpy(&r, at, sizeof r);
  return sizeof r + r.key_bytes;
}

static bool add_run(mig_dump_sort *s, uint64_t from, mig_error *err) {
  if (s->run_count % RUN_ROOM_GROW == 0) {
    run *grown = mig_realloc(s->runs, (s->run_count + RUN_ROOM_GROW) * sizeof *grown);
    if (!grown) return mig_no_memory(err, "sorting");
    s->runs = grown;
  }
  s->runs[s->run_count++] = (run){.at = from, .end = s->file_bytes, .head = MIG_BUF(RECORD_MAX + READ_BYTES)};
  return true;
}

/* What is in memory becomes a sorted run in the file. */
static bool spill(mig_dump_sort *s, mig_error *err) {
  const uint64_t from = s->file_bytes;
  mig_buf out = MIG_BUF(RECORD_MAX + READ_BYTES);
  if (s->count == 0) return true;
  if (s->fd < 0 && !mig_dump_temp(s->folder, &s->fd, err)) return false;
  sort_memory(s);
  bool ok = true;
  for (size_t i = 0; ok && i < s->count; i++) {
    const uint8_t *at = s->records.data + s->index[i];
    ok = mig_buf_add(&out, at, record_bytes(at), err);
    if (ok && (out.size >= READ_BYTES || i + 1 == s->count)) {
      ok = write_at_end(s, out.data, out.size, err);
      mig_buf_clear(&out);
    }
  }
  mig_buf_free(&out);
  mig_buf_clear(&s->records);
  s->count = 0;
  return ok && add_run(s, from, err);
}

static bool add_index(mig_dump_sort *s, size_t at, mig_error *err) {
  if (s->count == s->room) {
    const size_t room = s->room ? s->room * 2 : 1024;
    size_t *grown = mig_realloc(s->index, room * sizeof *grown);
    if (!grown) return mig_no_memory(err, "sorting");
    s->index = grown;
    s->room = room;
  }
  s->index[s->count++] = at;
  return true;
}

bool mig_dump_sort_add(mig_dump_sort *s, const mig_dump_place *place, bool natural, const bson_t *doc, mig_error *err) {
  static const uint8_t end = 0;
  mig_doc_id id = {0};
  if (!natural) mig_doc_id_of(doc, &id);
  const uint32_t key_bytes = id.data ? (uint32_t)id.size + 5 : 0, length = BSON_UINT32_TO_LE(key_bytes);
  const record r = {.key_bytes = key_bytes,
                    .collection = place->collection,
                    .number = s->number++,
                    .offset = place->offset,
                    .bytes = place->bytes};
  const size_t memory = s->records.maximum - RECORD_MAX;
  /* the index counts as well */
  if (s->records.size + s->count * sizeof *s->index + sizeof r + key_bytes > memory && !spill(s, err)) return false;
  const size_t at = s->records.size;
  bool ok = mig_buf_add(&s->records, &r, sizeof r, err);
  if (key_bytes)
    ok = ok && mig_buf_add(&s->records, &length, sizeof length, err) &&
         mig_buf_add(&s->records, id.data, id.size, err) && mig_buf_add(&s->records, &end, 1, err);
  ok = ok && add_index(s, at, err);
  if (ok && s->ascending && s->count > 1)
    s->ascending = order(s->records.data + s->index[s->count - 2], s->records.data + at) <= 0;
  return ok;
}

bool mig_dump_sort_sorted(mig_dump_sort *s, mig_error *err) {
  s->next = 0;
  if (s->run_count) {
    if (!spill(s, err)) return false;
    mig_buf_free(&s->records); /* the runs need the room now */
    return true;
  }
  sort_memory(s);
  return true;
}

static bool read_more(mig_dump_sort *s, run *r, size_t wanted, mig_error *err) {
  const uint64_t left = r->end - r->at;
  size_t more = wanted > READ_BYTES ? wanted : READ_BYTES;
  if (more > left) more = (size_t)left;
  if (r->used) {
    memmove(r->head.data, r->head.data + r->used, r->head.size - r->used);
    r->head.size -= r->used;
    r->used = 0;
  }
  if (!mig_buf_reserve(&r->head, r->head.size + more, err)) return false;
  while (more) {
    const ssize_t n = pread(s->fd, r->head.data + r->head.size, more, (off_t)r->at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return mig_fail_errno(err, "cannot read a temporary file in %s", s->folder);
    r->head.size += (size_t)n;
    r->at += (uint64_t)n;
    more -= (size_t)n;
  }
  return true;
}

/* The next record of a run whole in memory; NULL with *ok when the run has ended. */
static const uint8_t *first_of(mig_dump_sort *s, run *r, bool *ok, mig_error *err) {
  *ok = true;
  size_t have = r->head.size - r->used;
  if (have < sizeof(record) && r->at < r->end) *ok = read_more(s, r, sizeof(record), err);
  have = r->head.size - r->used;
  if (!*ok || have < sizeof(record)) return NULL;
  const size_t whole = record_bytes(r->head.data + r->used);
  if (have < whole && r->at < r->end) *ok = read_more(s, r, whole - have, err);
  return *ok ? r->head.data + r->used : NULL;
}

bool mig_dump_sort_next(mig_dump_sort *s, mig_dump_place *place, bool *more, mig_error *err) {
  const uint8_t *least = NULL;
  run *from = NULL;
  bool ok = true;
  record r;
  if (!s->run_count && s->next < s->count) least = s->records.data + s->index[s->next++];
  for (size_t i = 0; i < s->run_count; i++) {
    const uint8_t *at = first_of(s, &s->runs[i], &ok, err);
    if (!ok) return false;
    if (!at || (least && order(at, least) >= 0)) continue;
    least = at;
    from = &s->runs[i];
  }
  *more = least != NULL;
  if (!least) return true;
  memcpy(&r, least, sizeof r);
  if (from) from->used += sizeof r + r.key_bytes;
  *place = (mig_dump_place){r.collection, r.bytes, r.offset};
  return true;
}

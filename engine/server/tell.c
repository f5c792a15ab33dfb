#include "server/tell.h"

#include <stdio.h>
#include <time.h>

static void iso(int64_t unix_ms, char *text, size_t size) {
  int64_t seconds = unix_ms / 1000, ms = unix_ms % 1000;
  if (ms < 0) {
    ms += 1000;
    seconds--;
  }
  time_t t = (time_t)seconds;
  struct tm tm;
  char day[32] = "";
  if (!gmtime_r(&t, &tm) || strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
    snprintf(text, size, "%lld", (long long)unix_ms); /* no such year */
  else
    snprintf(text, size, "%s.%03dZ", day, (int)ms);
}

static void copy(bson_t *to, const bson_t *from, int depth) {
  bson_iter_t it;
  if (!bson_iter_init(&it, from)) return;
  while (bson_iter_next(&it)) {
    const char *key = bson_iter_key(&it);
    bson_t view, child;
    char text[48];
    if (BSON_ITER_HOLDS_DATE_TIME(&it)) {
      iso(bson_iter_date_time(&it), text, sizeof text);
      bson_append_utf8(to, key, -1, text, -1);
    } else if (BSON_ITER_HOLDS_OID(&it)) {
      bson_oid_to_string(bson_iter_oid(&it), text);
      bson_append_utf8(to, key, -1, text, -1);
    } else if (BSON_ITER_HOLDS_ARRAY(&it) && depth < 100 && mig_bson_iter_doc(&it, &view)) {
      BSON_APPEND_ARRAY_BEGIN(to, key, &child);
      copy(&child, &view, depth + 1);
      bson_append_array_end(to, &child);
    } else if (BSON_ITER_HOLDS_DOCUMENT(&it) && depth < 100 && mig_bson_iter_doc(&it, &view)) {
      BSON_APPEND_DOCUMENT_BEGIN(to, key, &child);
      copy(&child, &view, depth + 1);
      bson_append_document_end(to, &child);
    } else {
      bson_append_iter(to, key, -1, &it);
    }
  }
}

char *mig_tell_json(const bson_t *doc) {
  bson_t plain = BSON_INITIALIZER;
  copy(&plain, doc, 0);
  char *json = mig_bson_json(&plain);
  bson_destroy(&plain);
  return json;
}

void mig_tell_item(bson_t *list, uint32_t count, const bson_t *element) {
  char buffer[16];
  const char *key;
  bson_uint32_to_string(count, &key, buffer, sizeof buffer);
  BSON_APPEND_DOCUMENT(list, key, element);
}

void mig_tell_date(bson_t *doc, const char *key, int64_t unix_ms) {
  if (unix_ms)
    BSON_APPEND_DATE_TIME(doc, key, unix_ms);
  else
    BSON_APPEND_NULL(doc, key);
}

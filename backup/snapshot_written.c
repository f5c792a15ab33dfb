#include "backup/snapshot_written.h"

#include <string.h>

typedef struct counted {
  bool known;
  int64_t writes; /* all that the server has counted so far */
} counted;

struct mig_written_marks {
  const mig_snapshot_plan *plan;
  counted *before; /* one for each item of the plan */
};

/* Not every server counts, and not every user may ask. */
static bool count_writes(mig_work *w, const char *collection, counted *out, mig_error *err) {
  static const char *const names[] = {"bulk loaded cursor insert calls",
                                      "insert calls",
                                      "modify",
                                      "modify calls",
                                      "remove calls",
                                      "truncate calls",
                                      "update calls"};
  bson_t command = BSON_INITIALIZER, reply, cursor;
  mig_error local = {0};
  *out = (counted){0};
  BSON_APPEND_UTF8(&command, "collStats", collection);
  const bool ok = mig_db_command_outside(w->db, MIG_READ, &command, &reply, &local);
  if (ok && mig_bson_doc(&reply, "wiredTiger.cursor", &cursor))
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
      int64_t n = 0;
      if (!mig_bson_int(&cursor, names[i], &n)) continue;
      out->known = true;
      out->writes += n;
    }
  bson_destroy(&reply);
  bson_destroy(&command);
  if (ok || !local.network) return true;
  if (err) *err = local;
  return false;
}

bool mig_written_watch(mig_work *w, const mig_snapshot_plan *plan, mig_written_marks **out, mig_error *err) {
  bool ok = true;
  *out = mig_alloc(sizeof **out);
  if (*out) (*out)->before = mig_alloc((plan->count + 1) * sizeof(counted));
  if (!*out || !(*out)->before) return mig_no_memory(err, "snapshot");
  (*out)->plan = plan;
  for (size_t i = 0; ok && i < plan->count; i++)
    if (plan->items[i].holds == MIG_HOLDS_DOCUMENTS) ok = count_writes(w, plan->items[i].name, &(*out)->before[i], err);
  return ok;
}

static bool look(mig_work *w, const mig_snapshot_item *item, const counted *before, mig_collection_entry *entry,
                 mig_error *err) {
  counted now = {0};
  char sha256[MIG_SHA256_HEX];
  if (before->known && !count_writes(w, item->name, &now, err)) return false;
  bool written = now.writes != before->writes;
  if (!now.known) { /* nor before, or no more */
    if (!mig_snapshot_read_again(w, item, sha256, err)) return false;
    written = strcmp(sha256, entry->sha256) != 0;
  }
  entry->written = written ? MIG_WRITTEN_SOMETHING : MIG_WRITTEN_NOTHING;
  if (written)
    mig_say(w->observer, MIG_WARNING,
            "%s.%s was written to while its snapshot was taken: its documents may be of different moments",
            mig_db_name(w->db), item->name);
  return true;
}

bool mig_written_tell(mig_work *w, const mig_written_marks *watched, mig_manifest *m, mig_error *err) {
  const mig_snapshot_plan *plan = watched->plan;
  for (size_t i = 0; i < plan->count; i++)
    if (plan->items[i].holds == MIG_HOLDS_DOCUMENTS &&
        !look(w, &plan->items[i], &watched->before[i], &m->collections[i], err))
      return false;
  return true;
}

void mig_written_free(mig_written_marks *watched) {
  if (!watched) return;
  mig_free(watched->before);
  mig_free(watched);
}

/* The error of a restore that did not settle: what still differs, with a few _ids, and what the server said. */
#include "backup/restore_parts.h"

/* The first index that is missing or other, as recorded and as it is. */
static bool say_indexes(const mig_restore_item *item, mig_buf *text, mig_error *err) {
  bson_iter_t it;
  bson_t spec, live;
  const char *name = NULL;
  if (!mig_buf_printf(text, err, ", %lld indexes", (long long)item->indexes_differ)) return false;
  if (!item->entry->indexes || !bson_iter_init(&it, item->entry->indexes)) return true;
  while (bson_iter_next(&it)) {
    if (!mig_bson_iter_doc(&it, &spec) || mig_index_is_own(&spec) || mig_index_in(item->live_indexes, &spec)) continue;
    const bool there = mig_index_name(&spec, &name) && mig_index_find(item->live_indexes, name, &live);
    char *want = mig_bson_json(&spec), *has = there ? mig_bson_json(&live) : NULL;
    const bool ok = mig_buf_printf(text, err, " (%.200s is %.200s)", want ? want : "?",
                                   has     ? has
                                   : there ? "?"
                                           : "not there");
    mig_free(want);
    mig_free(has);
    return ok;
  }
  return true;
}

static bool say_options(const mig_restore_item *item, mig_buf *text, mig_error *err) {
  bson_t recorded, live;
  mig_options_of(item->entry->info, &recorded);
  mig_options_of(item->live_info, &live);
  char *want = mig_bson_json(&recorded), *has = mig_bson_json(&live);
  const bool ok = mig_buf_printf(text, err, ", the options (%.200s are %.200s)", want ? want : "?", has ? has : "?");
  mig_free(want);
  mig_free(has);
  return ok;
}

static bool say_kinds(const mig_restore_item *item, mig_buf *text, mig_error *err) {
  const mig_compare_result *d = &item->documents;
  const bool options = item->fixed_differ || item->validator_differs || item->images_differ;
  if (!mig_buf_printf(text, err, "%lld missing, %lld changed, %lld extra documents", (long long)d->missing,
                      (long long)d->changed, (long long)d->extra))
    return false;
  if (item->indexes_differ && !say_indexes(item, text, err)) return false;
  if (options && !say_options(item, text, err)) return false;
  for (size_t i = 0; i < d->id_count; i++)
    if (!mig_buf_printf(text, err, "%s%s", i ? ", " : "; _id ", d->ids[i])) return false;
  return true;
}

bool mig_restore_item_fail(const mig_restore *r, const mig_restore_item *item, const char *doing, mig_error *err) {
  mig_buf text = MIG_BUF(4096);
  const mig_error *refused = &item->refused;
  const bool said = refused->code != MIG_OK;
  say_kinds(item, &text, NULL);
  mig_fail(err, said ? MIG_E_SERVER : MIG_E_FAILED, "%s.%s is not as in the snapshot %s", mig_db_name(r->w->db),
           item->target, doing);
  if (err && said) err->server_code = refused->server_code;
  if (said)
    mig_why(err, "%s; the server refused: %s: %s", mig_buf_text(&text), refused->what, refused->why);
  else
    mig_why(err, "%s; the server stores them otherwise, or others write to it", mig_buf_text(&text));
  mig_hint(err, "stop what writes to this collection and run the restore again; it goes on where it stands");
  mig_buf_free(&text);
  return false;
}

#include "backup/compare.h"

#include <string.h>

#include "backup/window.h"

typedef struct side {
  mig_source source;
  mig_window waiting;
  mig_buf last;           /* {"_id": ...} of the document pulled last */
  uint64_t place;         /* documents pulled */
  uint64_t matched_place; /* of the farthest match: what waits before it is behind both streams, if the order holds */
  bool ended;
  bool ascending; /* so far every _id was greater than the one before, in an order we know */
} side;

typedef struct run {
  const mig_compare *compare;
  mig_compare_result *out;
  side archive, live;
  size_t window_bytes;
} run;

bool mig_compare_count(mig_compare_result *out, mig_difference what, const bson_t *archive, const bson_t *live,
                       mig_error *err) {
  if (what == MIG_DIFF_MISSING) out->missing++;
  if (what == MIG_DIFF_CHANGED) out->changed++;
  if (what == MIG_DIFF_EXTRA) out->extra++;
  if (what != MIG_DIFF_UNSETTLED && out->id_count < MIG_COMPARE_IDS) {
    char *json = mig_doc_id_json(archive ? archive : live);
    if (!json) return mig_no_memory(err, "an _id");
    char *to = out->ids[out->id_count++];
    strncpy(to, json, sizeof out->ids[0] - 1); /* the rest is zero */
    mig_free(json);
  }
  return true;
}

static bool say(run *r, mig_difference what, const bson_t *archive, const bson_t *live, mig_error *err) {
  if (!mig_compare_count(r->out, what, archive, live, err)) return false;
  return !r->compare->found || r->compare->found(r->compare->arg, what, archive, live, err);
}

static bool last_id(const side *s, bson_t *view, mig_doc_id *id) {
  if (!s->last.size || !bson_init_static(view, s->last.data, s->last.size)) return false;
  mig_doc_id_of(view, id);
  return true;
}

/* Remembers the _id and whether the stream still ascends. */
static bool note_order(side *s, const bson_t *doc, mig_error *err) {
  static const uint8_t end = 0;
  bson_t view;
  mig_doc_id now, before;
  int order = 0;
  if (!s->ascending) return true;
  mig_doc_id_of(doc, &now);
  if (!now.data)
    s->ascending = false;
  else if (last_id(s, &view, &before))
    s->ascending = mig_doc_id_order(&before, &now, &order) && order < 0;
  mig_buf_clear(&s->last);
  if (!s->ascending) return true;
  const uint32_t length = BSON_UINT32_TO_LE((uint32_t)now.size + 5);
  return mig_buf_add(&s->last, &length, sizeof length, err) && mig_buf_add(&s->last, now.data, now.size, err) &&
         mig_buf_add(&s->last, &end, 1, err);
}

/* Without one nothing says that two documents are the same one. */
static bool has_id(const bson_t *doc) {
  mig_doc_id id;
  mig_doc_id_of(doc, &id);
  return id.data != NULL;
}

static bool match(run *r, side *from, side *other, mig_waiting *partner, const bson_t *doc, mig_error *err) {
  bson_t view;
  const bool from_archive = from == &r->archive;
  if (!mig_waiting_doc(partner, &view)) return mig_fail(err, MIG_E_FAILED, "a waiting document is damaged");
  /* in streams of one order the matches come in that order too */
  if (partner->place < other->matched_place)
    r->out->out_of_order = true;
  else
    other->matched_place = partner->place;
  from->matched_place = from->place;
  bool ok = true;
  if (mig_bson_same(&view, doc))
    r->out->same++;
  else
    ok = say(r, MIG_DIFF_CHANGED, from_archive ? doc : &view, from_archive ? &view : doc, err);
  mig_window_remove(&other->waiting, partner);
  return ok;
}

/* Its partner waits on the other side, or it waits itself. */
static bool place(run *r, side *from, side *other, const bson_t *doc, mig_error *err) {
  mig_waiting *partner = mig_window_find(&other->waiting, doc);
  if (partner) return match(r, from, other, partner, doc, err);
  return mig_window_add(&from->waiting, doc, from->place, err);
}

static bool pull(side *from, bson_t *doc, bool *any, mig_error *err) {
  const mig_pull pulled = from->source.next(from->source.arg, doc, err);
  *any = pulled == MIG_PULL_DOC;
  from->ended = pulled == MIG_PULL_END;
  from->place += *any;
  return pulled != MIG_PULL_ERROR && (!*any || note_order(from, doc, err));
}

/* Takes one document from `from`. */
static bool take(run *r, side *from, side *other, mig_error *err) {
  bson_t doc;
  bool any = false;
  return pull(from, &doc, &any, err) && (!any || place(r, from, other, &doc, err));
}

/* Takes one from each side while nothing waits: most are the same, and need not be kept to be found so. */
static bool take_both(run *r, mig_error *err) {
  bson_t archive, live;
  bool any_archive = false, any_live = false;
  if (!pull(&r->archive, &archive, &any_archive, err) || !pull(&r->live, &live, &any_live, err)) return false;
  if (any_archive && any_live && mig_bson_same(&archive, &live) && has_id(&archive)) {
    r->out->same++;
    r->archive.matched_place = r->archive.place;
    r->live.matched_place = r->live.place;
    return true;
  }
  return (!any_archive || place(r, &r->archive, &r->live, &archive, err)) &&
         (!any_live || place(r, &r->live, &r->archive, &live, err));
}

static bool judge(run *r, side *s, mig_waiting *entry, mig_error *err) {
  bson_t view;
  if (!mig_waiting_doc(entry, &view)) return mig_fail(err, MIG_E_FAILED, "a waiting document is damaged");
  const bool archive = s == &r->archive;
  const bool ok = archive ? say(r, MIG_DIFF_MISSING, &view, NULL, err) : say(r, MIG_DIFF_EXTRA, NULL, &view, err);
  mig_window_remove(&s->waiting, entry);
  return ok;
}

/* Has the other stream certainly passed this document, if the order is what it seems to be? */
static bool is_behind(const run *r, const side *s, const side *other, const mig_waiting *entry) {
  bson_t here, there;
  mig_doc_id id, frontier;
  int order = 0;
  if (other->ended || entry->place < s->matched_place) return true;
  if (!r->archive.ascending || !r->live.ascending || !last_id(other, &there, &frontier)) return false;
  if (!mig_waiting_doc(entry, &here)) return false;
  mig_doc_id_of(&here, &id);
  return mig_doc_id_order(&id, &frontier, &order) && order <= 0;
}

static bool judge_behind(run *r, side *s, const side *other, mig_error *err) {
  while (s->waiting.first && is_behind(r, s, other, s->waiting.first)) {
    r->out->judged_early = true;
    if (!judge(r, s, s->waiting.first, err)) return false;
  }
  return true;
}

static bool is_full(const run *r) {
  return r->archive.waiting.bytes + r->live.waiting.bytes > r->window_bytes;
}

/* The side to read next: the one that lags, where we know the order, else in turns. */
static side *lagging(run *r) {
  bson_t a, b;
  mig_doc_id a_id, b_id;
  int order = 0;
  if (r->archive.ended) return &r->live;
  if (r->live.ended) return &r->archive;
  if (r->archive.ascending && r->live.ascending && last_id(&r->archive, &a, &a_id) && last_id(&r->live, &b, &b_id) &&
      mig_doc_id_order(&a_id, &b_id, &order) && order)
    return order < 0 ? &r->archive : &r->live;
  return r->archive.place <= r->live.place ? &r->archive : &r->live;
}

/* Nothing can be said any more: the caller gets all live documents that might be without a partner. */
static bool give_up(run *r, mig_error *err) {
  bson_t view;
  mig_pull pulled;
  r->out->unsettled = true;
  mig_window_clear(&r->archive.waiting);
  for (mig_waiting *e = r->live.waiting.first; e; e = e->after)
    if (!mig_waiting_doc(e, &view) || !say(r, MIG_DIFF_UNSETTLED, NULL, &view, err)) return false;
  mig_window_clear(&r->live.waiting);
  while ((pulled = r->live.source.next(r->live.source.arg, &view, err)) == MIG_PULL_DOC)
    if (!say(r, MIG_DIFF_UNSETTLED, NULL, &view, err)) return false;
  return pulled == MIG_PULL_END;
}

static bool merge(run *r, mig_error *err) {
  while (!r->archive.ended || !r->live.ended) {
    if (!r->archive.ended && !r->live.ended && !r->archive.waiting.first && !r->live.waiting.first) {
      if (!take_both(r, err)) return false;
      continue;
    }
    side *from = lagging(r);
    if (!take(r, from, from == &r->archive ? &r->live : &r->archive, err)) return false;
    if (!is_full(r)) continue;
    if (!judge_behind(r, &r->live, &r->archive, err) || !judge_behind(r, &r->archive, &r->live, err)) return false;
    if (is_full(r) && !(r->archive.ended && r->live.ended)) return give_up(r, err);
  }
  while (r->live.waiting.first)
    if (!judge(r, &r->live, r->live.waiting.first, err)) return false;
  while (r->archive.waiting.first)
    if (!judge(r, &r->archive, r->archive.waiting.first, err)) return false;
  return true;
}

bool mig_compare_run(const mig_compare *compare, mig_compare_result *out, mig_error *err) {
  run r = {.compare = compare, .out = out, .window_bytes = compare->window_bytes};
  memset(out, 0, sizeof *out);
  if (!r.window_bytes) r.window_bytes = MIG_COMPARE_WINDOW_BYTES;
  r.archive = (side){.source = compare->archive, .last = MIG_BUF(20u << 20), .ascending = true};
  r.live = (side){.source = compare->live, .last = MIG_BUF(20u << 20), .ascending = true};
  const bool ok = merge(&r, err);
  /* judged before the end, in an order that the matches contradict: a "missing" and an "extra" may be one document */
  if (out->judged_early && out->out_of_order) out->unsettled = true;
  mig_window_clear(&r.archive.waiting);
  mig_window_clear(&r.live.waiting);
  mig_buf_free(&r.archive.last);
  mig_buf_free(&r.live.last);
  return ok;
}

void mig_compare_add(mig_compare_result *sum, const mig_compare_result *part) {
  sum->same += part->same;
  sum->missing += part->missing;
  sum->changed += part->changed;
  sum->extra += part->extra;
  sum->unsettled = sum->unsettled || part->unsettled;
  sum->judged_early = sum->judged_early || part->judged_early;
  for (size_t i = 0; i < part->id_count && sum->id_count < MIG_COMPARE_IDS; i++)
    memcpy(sum->ids[sum->id_count++], part->ids[i], sizeof part->ids[i]);
}

bool mig_compare_identical(const mig_compare_result *r) {
  return !r->missing && !r->changed && !r->extra && !r->unsettled;
}

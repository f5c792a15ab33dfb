#include "run/metrics.h"

#include "base/clock.h"
#include "base/names.h"
#include "base/version.h"
#include "run/board.h"

#define MAX_TEXT ((size_t)64 << 20)

typedef struct page {
  mig_buf *b;
  mig_error *err;
  bool ok;
} page;

static void head(page *p, const char *name, const char *type, const char *help) {
  p->ok = p->ok && mig_buf_printf(p->b, p->err, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(page *p, const char *name, const char *help, double value) {
  head(p, name, "gauge", help);
  p->ok = p->ok && mig_buf_printf(p->b, p->err, "%s %.15g\n", name, value);
}

/* A label's value: backslash, quote and line end escaped. */
static void label(page *p, const char *text) {
  for (; p->ok && *text; text++) {
    char escaped[3] = {'\\', *text == '\n' ? 'n' : *text, 0};
    bool special = *text == '\\' || *text == '"' || *text == '\n';
    p->ok = mig_buf_add(p->b, special ? escaped : text, special ? 2 : 1, p->err);
  }
}

static void sample(page *p, const char *name, const char *key, const char *text, double value) {
  p->ok = p->ok && mig_buf_printf(p->b, p->err, "%s{%s=\"", name, key);
  label(p, text);
  p->ok = p->ok && mig_buf_printf(p->b, p->err, "\"} %.15g\n", value);
}

static void write_states(page *p, const mig_board *b) {
  head(p, "mig_migrations", "gauge", "Migrations by state");
  for (int s = MIG_STATUS_PENDING; s <= MIG_STATUS_REVERTED; s++)
    sample(p, "mig_migrations", "status", mig_status_name((mig_status)s), (double)b->by_status[s]);
  gauge(p, "mig_problems", "What mig status warns of", (double)b->problems);
  gauge(p, "mig_lease_held", "1 while a runner holds the lease", b->lease_live);
  if (b->lease_live)
    gauge(p, "mig_lease_expires_timestamp_seconds", "When the lease runs out unless it is refreshed",
          (double)b->lease.expires_unix_ms / 1000);
}

static void write_each(page *p, const mig_board *b) {
  head(p, "mig_migration_duration_seconds", "gauge", "Duration of the last run of a migration");
  for (size_t i = 0; i < b->count; i++)
    if (b->rows[i].finding.entry)
      sample(p, "mig_migration_duration_seconds", "migration", b->rows[i].name,
             (double)b->rows[i].finding.entry->duration_ms / 1000);
  head(p, "mig_migration_applied_timestamp_seconds", "gauge", "When a migration was applied");
  for (size_t i = 0; i < b->count; i++)
    if (b->rows[i].finding.status == MIG_STATUS_APPLIED)
      sample(p, "mig_migration_applied_timestamp_seconds", "migration", b->rows[i].name,
             (double)b->rows[i].finding.entry->applied_unix_ms / 1000);
}

static void write_running(page *p, const mig_board *b) {
  head(p, "mig_running", "gauge", "1 for a migration that is running now, by its phase");
  for (size_t i = 0; i < b->count; i++) {
    if (!b->rows[i].going) continue;
    p->ok = p->ok && mig_buf_printf(p->b, p->err, "mig_running{phase=\"%s\",migration=\"",
                                    mig_phase_name(b->rows[i].finding.entry->run.phase));
    label(p, b->rows[i].name);
    p->ok = p->ok && mig_buf_printf(p->b, p->err, "\"} 1\n");
  }
  if (b->progress.fence && b->progress.percent >= 0)
    gauge(p, "mig_progress_ratio", "How far the present phase is, 0 to 1",
          (double)b->progress.done / (double)b->progress.total);
}

/* One sum over all events: {_id: {d: direction, o: outcome}, n, ms, ...} */
static bson_t *event_sums(void) {
  return BCON_NEW(
      "aggregate", BCON_UTF8(MIG_EVENTS), "pipeline", "[", "{", "$group", "{", "_id", "{", "d", BCON_UTF8("$direction"),
      "o", BCON_UTF8("$outcome"), "}", "n", "{", "$sum", BCON_INT32(1), "}", "ms", "{", "$sum", BCON_UTF8("$duration"),
      "}", "docs", "{", "$sum", BCON_UTF8("$documents.written"), "}", "read", "{", "$sum", BCON_UTF8("$documents.read"),
      "}", "bytes", "{", "$sum", BCON_UTF8("$bytes.written"), "}", "taken", "{", "$sum", BCON_UTF8("$bytes.snapshot"),
      "}", "validate", "{", "$sum", BCON_UTF8("$phases.validate"), "}", "snapshot", "{", "$sum",
      BCON_UTF8("$phases.snapshot"), "}", "run", "{", "$sum", BCON_UTF8("$phases.run"), "}", "verify", "{", "$sum",
      BCON_UTF8("$phases.verify"), "}", "commit", "{", "$sum", BCON_UTF8("$phases.commit"), "}", "restore", "{", "$sum",
      BCON_UTF8("$phases.restore"), "}", "last", "{", "$max", BCON_UTF8("$startedAt"), "}", "}", "}", "{", "$sort", "{",
      "_id", BCON_INT32(1), "}", "}", "]", "cursor", "{", "}");
}

typedef struct sums {
  double ms, docs, read, bytes, taken, phases[6];
  int64_t last_unix_ms;
  int64_t runs;
} sums;

static const char *const phase_names[] = {"validate", "snapshot", "run", "verify", "commit", "restore"};

static double number(const bson_t *doc, const char *key) {
  int64_t whole = 0;
  return mig_bson_int(doc, key, &whole) ? (double)whole : 0;
}

static bool add_group(page *p, const bson_t *doc, sums *s) {
  const char *direction = "", *outcome = "";
  int64_t last = 0;
  mig_bson_str(doc, "_id.d", &direction);
  mig_bson_str(doc, "_id.o", &outcome);
  p->ok = p->ok && mig_buf_printf(p->b, p->err, "mig_runs_total{direction=\"");
  label(p, direction);
  p->ok = p->ok && mig_buf_printf(p->b, p->err, "\",outcome=\"");
  label(p, outcome);
  p->ok = p->ok && mig_buf_printf(p->b, p->err, "\"} %.15g\n", number(doc, "n"));
  s->runs += (int64_t)number(doc, "n");
  s->ms += number(doc, "ms");
  s->docs += number(doc, "docs");
  s->read += number(doc, "read");
  s->bytes += number(doc, "bytes");
  s->taken += number(doc, "taken");
  for (size_t i = 0; i < 6; i++) s->phases[i] += number(doc, phase_names[i]);
  if (mig_bson_date(doc, "last", &last) && last > s->last_unix_ms) s->last_unix_ms = last;
  return p->ok;
}

static void counter(page *p, const char *name, const char *help, double value) {
  head(p, name, "counter", help);
  p->ok = p->ok && mig_buf_printf(p->b, p->err, "%s %.15g\n", name, value);
}

static void write_events(page *p, mig_db *db) {
  sums s = {0};
  mig_cursor *c = NULL;
  const bson_t *doc = NULL;
  bson_t *command = event_sums();
  mig_next next = MIG_NEXT_END;
  head(p, "mig_runs_total", "counter", "Attempts by direction and outcome");
  p->ok = p->ok && mig_db_query(db, command, &c, p->err);
  while (p->ok && (next = mig_cursor_next(c, &doc, p->err)) == MIG_NEXT_DOC) add_group(p, doc, &s);
  p->ok = p->ok && next != MIG_NEXT_ERROR;
  mig_cursor_close(c);
  bson_destroy(command);
  head(p, "mig_run_duration_seconds", "summary", "Duration of all attempts");
  p->ok =
      p->ok && mig_buf_printf(p->b, p->err, "mig_run_duration_seconds_sum %.15g\nmig_run_duration_seconds_count %lld\n",
                              s.ms / 1000, (long long)s.runs);
  head(p, "mig_phase_seconds_total", "counter", "Time spent in each phase of all attempts");
  for (size_t i = 0; i < 6; i++) sample(p, "mig_phase_seconds_total", "phase", phase_names[i], s.phases[i] / 1000);
  counter(p, "mig_documents_read_total", "Documents read for migrations, snapshots included", s.read);
  counter(p, "mig_documents_written_total", "Documents written by migrations, and put back after them", s.docs);
  counter(p, "mig_written_bytes_total", "Uncompressed BSON that migrations have written", s.bytes);
  counter(p, "mig_snapshot_written_bytes_total", "Bytes of the archives taken by migrations", s.taken);
  gauge(p, "mig_last_run_timestamp_seconds", "When the newest attempt began", (double)s.last_unix_ms / 1000);
}

static void write_store(page *p, const char *folder) {
  mig_store *store = NULL;
  mig_store_item *items = NULL;
  size_t n = 0;
  double bytes = 0, newest = 0;
  /* a store that is not here (yet) has no snapshots; that is no reason to say nothing of the rest */
  if (!mig_store_open(folder, false, &store, NULL) || !mig_store_list(store, &items, &n, NULL)) n = 0;
  for (size_t i = 0; i < n; i++) {
    bytes += (double)items[i].bytes;
    if ((double)items[i].created_unix_ms / 1000 > newest) newest = (double)items[i].created_unix_ms / 1000;
  }
  gauge(p, "mig_snapshots", "Snapshots in the store", (double)n);
  gauge(p, "mig_snapshot_bytes", "Bytes of the snapshots in the store", bytes);
  if (n) gauge(p, "mig_snapshot_newest_timestamp_seconds", "When the newest snapshot was taken", newest);
  mig_store_items_free(items, n);
  mig_store_close(store);
}

static void write_start(page *p, bool up) {
  head(p, "mig_info", "gauge", "The version of mig");
  sample(p, "mig_info", "version", MIG_VERSION, 1);
  gauge(p, "mig_up", "1 if the database answered", up);
  gauge(p, "mig_collected_timestamp_seconds", "When these figures were read", (double)mig_now_unix_ms() / 1000);
}

bool mig_metrics_text(mig_engine *e, mig_buf *out, mig_error *err) {
  mig_board board;
  *out = MIG_BUF(MAX_TEXT);
  page p = {.b = out, .err = err, .ok = mig_board_load(e, &board, err)};
  if (!p.ok) return false;
  write_start(&p, true);
  write_states(&p, &board);
  write_each(&p, &board);
  write_running(&p, &board);
  write_events(&p, e->db);
  write_store(&p, e->settings.store);
  mig_board_clear(&board);
  return p.ok;
}

bool mig_metrics_down(mig_buf *out, mig_error *err) {
  *out = MIG_BUF(MAX_TEXT);
  page p = {.b = out, .err = err, .ok = true};
  write_start(&p, false);
  return p.ok;
}

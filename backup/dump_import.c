#include "backup/dump_import.h"

#include "backup/doc_id.h"
#include "backup/doc_order.h"
#include "backup/dump_read.h"

typedef struct importing {
  mig_dump *dump;
  mig_dump_sort *sort;
  mig_archive_writer *archive;
  mig_buf doc, last;    /* this document, and the one before it */
  mig_dump_place place; /* of the document that comes next */
  bool more;
  uint64_t raw_bytes, done;
} importing;

static bool note(void *arg, const mig_dump_place *place, bool natural, const bson_t *doc, mig_error *err) {
  importing *x = arg;
  x->raw_bytes += place->bytes;
  return mig_dump_sort_add(x->sort, place, natural, doc, err);
}

static bool is_number(const mig_doc_id *id) {
  const bson_type_t type = bson_iter_type(&id->value);
  return type == BSON_TYPE_INT32 || type == BSON_TYPE_INT64 || type == BSON_TYPE_DOUBLE;
}

/* They come by _id, so one that is there twice comes twice in a row. A document that was removed and inserted again
 * while the dump was made stands in it twice; no collection takes both. */
static bool check_twice(const importing *x, uint32_t number, mig_error *err) {
  bson_t doc, last;
  mig_doc_id id, before;
  if (!x->last.size || !bson_init_static(&doc, x->doc.data, x->doc.size) ||
      !bson_init_static(&last, x->last.data, x->last.size))
    return true;
  mig_doc_id_of(&doc, &id);
  mig_doc_id_of(&last, &before);
  if (!id.data || !before.data) return true;
  const bool same = mig_doc_id_same(&id, &before) ||
                    (is_number(&id) && is_number(&before) && mig_value_order(&id.value, &before.value) == 0);
  if (!same) return true;
  char *text = mig_doc_id_json(&doc);
  mig_fail(err, MIG_E_INPUT, "%s.%s has two documents with the _id %s in this dump", x->dump->database,
           x->dump->collections[number].name, text ? text : "?");
  mig_free(text);
  mig_why(err, "no collection takes both: a restore would never succeed");
  return mig_hint(err, "it was written to while mongodump read it: make the dump anew, or name the others with --only");
}

static bool add_documents(importing *x, uint32_t number, mig_error *err) {
  mig_buf_clear(&x->doc); /* the last one of another collection is nobody's twin */
  while (x->more && x->place.collection == number) {
    if (x->done % 1024 == 0 && !mig_checkpoint(x->dump->w, err)) return false;
    const mig_buf spare = x->last;
    x->last = x->doc;
    x->doc = spare;
    if (!mig_dump_read(x->dump, &x->place, &x->doc, err) || !check_twice(x, number, err) ||
        !mig_archive_document(x->archive, x->doc.data, x->doc.size, err) ||
        !mig_dump_sort_next(x->sort, &x->place, &x->more, err))
      return false;
    mig_progress(x->dump->w->observer, "import", ++x->done, 0);
  }
  return true;
}

static bool add_collections(importing *x, mig_error *err) {
  for (size_t i = 0; i < x->dump->count; i++) {
    const mig_dump_collection *c = &x->dump->collections[i];
    const mig_holds holds = c->has_data ? MIG_HOLDS_DOCUMENTS : MIG_HOLDS_METADATA;
    if (!mig_archive_collection(x->archive, c->name, holds, c->meta.info, c->meta.indexes, err) ||
        !add_documents(x, (uint32_t)i, err) || !mig_archive_collection_end(x->archive, err))
      return false;
  }
  return true;
}

static bool begin(importing *x, mig_store *store, mig_snapshot_info *out, mig_error *err) {
  if (!mig_store_space(store, x->raw_bytes, err) || !mig_store_new_id("import", &out->id, err)) return false;
  mig_manifest *m = mig_manifest_new(out->id, "imported from mongodump", x->dump->database);
  if (!m) return mig_no_memory(err, "manifest");
  m->server_version = mig_strdup(x->dump->server_version ? x->dump->server_version : "");
  m->server_product = mig_strdup("");
  m->topology = mig_strdup("");
  m->consistency = mig_strdup("perCollection");
  if (!m->server_version || !m->server_product || !m->topology || !m->consistency) {
    mig_manifest_free(m);
    return mig_no_memory(err, "manifest");
  }
  return mig_archive_begin(store, m, NULL, &x->archive, err);
}

bool mig_dump_import(mig_work *w, mig_store *store, const mig_dump_import_options *o, mig_snapshot_info *out,
                     mig_error *err) {
  const char *folder = mig_store_spool_folder(store);
  const mig_dump_open_options open = {
      .path = o->path, .database = o->database, .insists = o->insists, .only = o->only, .spool_folder = folder};
  importing x = {.doc = MIG_BUF(MIG_DOCUMENT_MAX_BYTES), .last = MIG_BUF(MIG_DOCUMENT_MAX_BYTES)};
  *out = (mig_snapshot_info){0};
  bool ok = mig_dump_open(w, &open, &x.dump, err) && mig_dump_sort_new(folder, 0, &x.sort, err) &&
            mig_dump_scan(x.dump, note, &x, err) && mig_dump_sort_sorted(x.sort, err) &&
            mig_dump_sort_next(x.sort, &x.place, &x.more, err) && begin(&x, store, out, err) &&
            add_collections(&x, err) && mig_archive_finish(x.archive, &out->path, out->sha256, &out->bytes, err);
  if (ok) mig_snapshot_describe(mig_archive_manifest(x.archive), out);
  if (ok && (out->stored_left = x.dump->stored_left)) mig_snapshot_say_stored(w->observer, x.dump->database);
  mig_archive_writer_free(x.archive);
  mig_dump_sort_free(x.sort);
  mig_dump_close(x.dump);
  mig_buf_free(&x.doc);
  mig_buf_free(&x.last);
  if (!ok) mig_snapshot_info_clear(out);
  return ok;
}

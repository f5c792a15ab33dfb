/* The guards there are. A new one is a file, a declaration and a row here. */
#include <string.h>

#include "validators/guard.h"

extern const mig_guard_def mig_guard_collection_exists, mig_guard_collection_absent;
extern const mig_guard_def mig_guard_field_exists, mig_guard_field_absent;
extern const mig_guard_def mig_guard_index_exists, mig_guard_index_absent, mig_guard_no_index_conflict;
extern const mig_guard_def mig_guard_keeps_documents, mig_guard_no_duplicates, mig_guard_count, mig_guard_matches;
extern const mig_guard_def mig_guard_not_null, mig_guard_field_type, mig_guard_references;
extern const mig_guard_def mig_guard_schema, mig_guard_document_size;
extern const mig_guard_def mig_guard_store_space, mig_guard_server_version;

static const mig_guard_def *const table[] = {
    &mig_guard_collection_exists,
    &mig_guard_collection_absent,
    &mig_guard_field_exists,
    &mig_guard_field_absent,
    &mig_guard_not_null,
    &mig_guard_field_type,
    &mig_guard_index_exists,
    &mig_guard_index_absent,
    &mig_guard_no_index_conflict,
    &mig_guard_no_duplicates,
    &mig_guard_references,
    &mig_guard_count,
    &mig_guard_matches,
    &mig_guard_schema,
    &mig_guard_document_size,
    &mig_guard_keeps_documents,
    &mig_guard_store_space,
    &mig_guard_server_version,
    NULL,
};

const mig_guard_def *const *mig_guard_table(void) {
  return table;
}

const mig_guard_def *mig_guard_find(const char *name) {
  for (const mig_guard_def *const *g = table; *g; g++)
    if (strcmp((*g)->name, name) == 0) return *g;
  return NULL;
}

#include "migrations/step.h"

/* One line a step, in the order of the docs; each is defined in a file of its own beside this one. */
#define STEPS(X)                                                                                                       \
  X(add_field)                                                                                                         \
  X(remove_field)                                                                                                      \
  X(rename_field)                                                                                                      \
  X(copy_field)                                                                                                        \
  X(transform)                                                                                                         \
  X(update)                                                                                                            \
  X(bulk_update)                                                                                                       \
  X(delete)                                                                                                            \
  X(insert)                                                                                                            \
  X(remove_duplicates)                                                                                                 \
  X(sanitize_strings)                                                                                                  \
  X(update_references)                                                                                                 \
  X(create_index)                                                                                                      \
  X(create_unique_constraint)                                                                                          \
  X(drop_index)                                                                                                        \
  X(create_collection)                                                                                                 \
  X(drop_collection)                                                                                                   \
  X(rename_collection)                                                                                                 \
  X(migrate_collection)                                                                                                \
  X(archive_documents)                                                                                                 \
  X(set_validator)                                                                                                     \
  X(command)

#define DECLARE(name) extern const mig_step_def mig_step_##name;
STEPS(DECLARE)
#undef DECLARE

const mig_step_def *const *mig_step_table(void) {
#define ROW(name) &mig_step_##name,
  static const mig_step_def *const table[] = {STEPS(ROW) NULL};
#undef ROW
  return table;
}

/*
 * restore_stage.h - the collection beside the live one that a swap makes from the archive; not for other layers
 *
 *     name --> make --> check --> (rename: restore_swap.c)
 *
 * make() goes on with a stage of this archive that an interrupted restore has left, where that pays: it is compared
 * with the archive, and only what is missing or not the same is written. Nothing of it is believed: the swap compares
 * all of it again before it takes the place of the live collection.
 */
#ifndef MIG_BACKUP_RESTORE_STAGE_H
#define MIG_BACKUP_RESTORE_STAGE_H

#include "backup/restore_parts.h"

#define MIG_STAGE_CHARS 56
void mig_stage_name(const mig_restore *r, const mig_restore_item *item, char name[static MIG_STAGE_CHARS]);
/* *indexed: it has its indexes already, as far as the server takes them. */
bool mig_stage_make(mig_restore *r, mig_restore_item *item, const char *stage, bool *indexed, mig_error *err);
/* restore_check.c: builds the indexes, and compares all of it with the archive; where it pays, documents during the
 * build. True only for an exact copy. Afterwards nothing is at work on the stage any more. */
bool mig_stage_check(mig_restore *r, mig_restore_item *item, const char *stage, bool indexed, mig_error *err);
/* A whole collection under this name, from the archive: documents, options, indexes. There must be none of that name.
 */
bool mig_stage_build(mig_restore *r, mig_restore_item *item, const char *name, mig_error *err);

#endif

/*
 * restore_stage.h - the collection beside the live one that a swap makes from the archive; not for other layers
 *
 *     name --> make --> (compare, rename: restore_swap.c)
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
bool mig_stage_make(mig_restore *r, mig_restore_item *item, const char *stage, mig_error *err);
/* A whole collection under this name, from the archive: documents, options, indexes. There must be none of that name.
 */
bool mig_stage_build(mig_restore *r, mig_restore_item *item, const char *name, mig_error *err);

#endif

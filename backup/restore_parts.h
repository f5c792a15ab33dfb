/*
 * restore_parts.h - what the parts of a restore share; not for other layers
 *
 *     restore.c: verify --> rounds of { diff --> displaced --> apply } until a diff finds nothing
 *     restore_plan.c    what is to be looked at          restore_delta.c   writes only what differs
 *     restore_diff.c    what differs, read only          restore_swap.c    stages, compares, renames
 *     restore_meta.c    options, validators              restore_write.c   batches of writes
 *     restore_index.c   indexes                          restore_say.c     says what still differs
 *     restore_ranges.c  looks chunk by chunk          restore_segment.c one chunk: the same, or what differs
 *     restore_load.c    new documents by several connections
 *     restore_tell.c    tells the listener
 *     restore_stage.c   makes the stage, or goes on with one
 *     restore_check.c   its indexes, and is it exact?    restore_build.c   indexes are built by a thread
 *     restore_wait.c    while an index is built, some servers change nothing else
 *     restore_aside.c   collections that go, without losing what was written to them in the last moment
 *
 * A round's diff is the compare pass of the round before. Each round writes in a plainer way than the one before it.
 */
#ifndef MIG_BACKUP_RESTORE_PARTS_H
#define MIG_BACKUP_RESTORE_PARTS_H

#include <stdio.h>

#include "backup/compare.h"
#include "backup/displaced.h"
#include "backup/range.h"
#include "backup/restore.h"
#include "backup/spec.h"

typedef enum mig_bring {
  MIG_BRING_NOTHING,
  MIG_BRING_DROP,  /* should not be there */
  MIG_BRING_VIEW,  /* make its definition anew */
  MIG_BRING_DELTA, /* the collection stays, what differs is written */
  MIG_BRING_SWAP   /* a new collection takes its place */
} mig_bring;

#define MIG_UUID_BYTES 16

typedef enum mig_segment_state {
  MIG_SEGMENT_SAME,
  MIG_SEGMENT_DIFFERS, /* what differs is to be found again */
  MIG_SEGMENT_KEPT,    /* it differs in these `differences` */
  MIG_SEGMENT_EMPTY    /* no live document */
} mig_segment_state;

typedef struct mig_segment {
  mig_segment_state state;
  mig_buf differences; /* differences.h */
} mig_segment;

typedef struct mig_restore_item {
  const mig_collection_entry *entry;
  const char *target;          /* the live collection: the entry's name, or another beside it */
  mig_restore_collection *row; /* in the report: what the first round found */
  bool is_view;                /* in the archive */
  bool live, live_is_view;
  bool sharded;                     /* known once it was asked: a new collection cannot take its place */
  bson_t *live_info, *live_indexes; /* NULL when it is not there */
  mig_compare_result documents;
  bool validator_differs, images_differ, fixed_differ; /* kinds of options, see spec.h */
  bool levels_stay; /* level and action without a validator could not be brought: they count no more */
  int64_t indexes_differ;
  mig_bring bring;
  /* A stage that was read back and found the same, and was then renamed to it: its UUID. As long as that is what stands
   * there, with as many documents, the documents are not read once more. */
  bool placed;
  uint8_t placed_uuid[MIG_UUID_BYTES];
  /* The last diff's, for each chunk of the entry (restore_ranges.h): NULL where it was not looked at by chunks. */
  mig_segment *segments;
  size_t segments_bytes; /* of the differences in them */
  bool is_stage; /* `target` is one that an interrupted restore left: what is missing may come by several connections */
  int64_t waited_ms; /* for index builds, because of which the server changed nothing else */
  mig_error refused; /* the server's first refusal that a later round may get over; code MIG_OK: none */
} mig_restore_item;

typedef struct mig_restore {
  mig_work *w;
  mig_archive *archive;
  mig_archive *against; /* diff.h: the second archive instead of the live database; NULL: live */
  const mig_restore_options *options;
  mig_restore_report *report;
  mig_restore_item *items;
  size_t count;
  bool compares;            /* diff.h: nothing will be written */
  mig_displaced *displaced; /* of this round; NULL: displaced documents are not kept */
  unsigned round;
} mig_restore;

#define MIG_RESTORE_ROUNDS 4u /* replace; delete and insert; swap; swap */

/* --- streams for mig_compare_run; both count what they read and call the checkpoint about once a second --- */
typedef struct mig_live_source {
  mig_work *w;
  mig_cursor *cursor;
  const mig_range *range;       /* not all: only these, where mig_range_works */
  mig_range_reader ranged;      /* instead of the cursor */
  mig_archive_cursor *archived; /* instead of the cursor: a second archive in the place of the live database */
  const char *what;             /* for progress */
  uint64_t done, total;         /* documents; total and total_bytes may be estimates, 0 if nothing is known */
  int64_t total_bytes;
  int64_t checked_ms;
} mig_live_source;
/* All documents in _id order, or in natural order. */
bool mig_live_open(mig_live_source *s, mig_work *w, const char *collection, bool natural, mig_error *err);
bool mig_live_open_archived(mig_live_source *s, mig_work *w, mig_archive *archive, const mig_collection_entry *entry,
                            mig_error *err);
mig_pull mig_live_next(void *source, bson_t *doc, mig_error *err);
void mig_live_close(mig_live_source *s);
mig_pull mig_archived_next(void *cursor, bson_t *doc, mig_error *err); /* a mig_archive_cursor */

/* --- restore_plan.c --- */
bool mig_restore_plan(mig_restore *r, mig_error *err); /* fills items and the report's rows */
void mig_restore_plan_free(mig_restore *r);
const char *mig_restore_database(const mig_restore *r); /* the live one's name, or that of the second archive */

/* --- restore_diff.c --- */
/* Fills everything of the item from `collection` as it is now; documents of METADATA entries are not read.
 * keep (may be NULL) gets the documents that would be overwritten or removed. */
bool mig_restore_diff(mig_restore *r, mig_restore_item *item, const char *collection, mig_displaced *keep,
                      mig_error *err);
void mig_restore_item_forget(mig_restore_item *item); /* what the last diff found */
bool mig_restore_item_differs(const mig_restore_item *item);
/* Counts of what the last diff found, for the report. */
void mig_restore_fill_row(const mig_restore_item *item);
/* restore_tell.c: who wants to hear of what this diff finds, or NULL; options and indexes of the last diff, told. */
const mig_diff_listener *mig_restore_listener(const mig_restore *r);
bool mig_restore_tell_metadata(const mig_restore *r, const mig_restore_item *item, mig_error *err);
/* restore_say.c: */
/* Says what still differs, with up to 5 _ids, and why if the server said so. Always returns false. */
bool mig_restore_item_fail(const mig_restore *r, const mig_restore_item *item, const char *doing, mig_error *err);

/* Documents of the archive against a collection by look-ups of their _ids: slower, but independent of any order. */
bool mig_lookup_run(mig_work *w, mig_archive *archive, const mig_collection_entry *entry, const char *collection,
                    mig_compare_result *out, mig_error *err);

/* info.uuid of a listCollections entry; false where the server gives none. */
bool mig_restore_uuid(const bson_t *info, uint8_t uuid[static MIG_UUID_BYTES]);

/* --- bringing back --- */
bool mig_restore_delta(mig_restore *r, mig_restore_item *item, mig_error *err);
bool mig_restore_swap(mig_restore *r, mig_restore_item *item, mig_error *err);
bool mig_restore_view(mig_restore *r, mig_restore_item *item, mig_error *err);
bool mig_restore_drop(mig_restore *r, const char *collection, mig_error *err); /* fine when it is not there */
/* The first collection whose name begins with the prefix and that does not stay (NULL: none stays); *name NULL: there
 * is none any more. Free it with mig_free. */
bool mig_restore_next_left(mig_restore *r, const char *prefix, bool (*stays)(const mig_restore *, const char *),
                           char **name, mig_error *err);
/* Left by a restore of this archive that was killed, but for those that a swap of this round can go on with. */
bool mig_restore_drop_stages(mig_restore *r, mig_error *err);
bool mig_restore_rename(mig_restore *r, const char *from, const char *to, bool drop_target, mig_error *err);
/* Makes the displaced archive durable and names it in the report. NULL: nothing to do. */
bool mig_restore_keep(mig_restore *r, mig_displaced *d, mig_error *err);

/* --- restore_aside.c: whatever is in a collection that goes is in an archive first --- */
/* The live collection or view gets out of the way: renamed where the server can, so that nobody writes to it any more;
 * else dropped, unless others wrote to it since (*gone false). Fine when it is not there. */
bool mig_restore_take_away(mig_restore *r, const mig_restore_item *item, bool *gone, mig_error *err);
/* Saves what others wrote in the last moment before it was renamed, and drops it. Fine when there is none. */
bool mig_restore_settle_aside(mig_restore *r, const mig_restore_item *item, mig_error *err);
/* The same for those of restores of other archives, which nobody runs again: all of their documents are saved. */
bool mig_restore_settle_strays(mig_restore *r, mig_error *err);

/* Both are the options of a listCollections entry: collection gets the recorded validator and pre-image options. */
bool mig_options_bring(mig_work *w, const char *collection, const bson_t *recorded, const bson_t *live, mig_error *err);
/* The recorded options to `name`, the target or its stage, as far as collMod can. What stands there is read again: the
 * writes may have needed the validator off. Level and action without a validator stop no restore: a warning. */
bool mig_restore_bring_options(mig_restore *r, mig_restore_item *item, const char *name, mig_error *err);
bool mig_validator_off(mig_work *w, const char *collection, mig_error *err);

/* Drops of `live` (mig_db_indexes_marked) what is not in the archive or not the same, which ends its build; unique_too:
 * every unique one as well. One that is still refused because another is being built goes to item->refused. */
bool mig_indexes_drop(mig_work *w, mig_restore_item *item, const bson_t *live, bool unique_too, mig_error *err);
/* Creates the missing, by one command if the server takes that. A refusal is kept in *refused and the others are still
 * built. */
bool mig_indexes_create(mig_work *w, const char *collection, const bson_t *recorded, mig_error *refused,
                        mig_error *err);
int64_t mig_indexes_differing(const bson_t *live, const bson_t *recorded);

/* --- restore_wait.c: *err is what the server said. False: the patience for this item is over, and *err is as it was;
 * or the checkpoint's. --- */
bool mig_restore_wait_build(mig_work *w, mig_restore_item *item, mig_error *err);
/* The same, if *err says that an index is being built. */
bool mig_restore_try_again(mig_work *w, mig_restore_item *item, mig_error *err);
bool mig_restore_waited_in_vain(const mig_restore_item *item);

/* May a later round get over this error? Otherwise (network, lease, memory, write concern ...) the restore ends. */
bool mig_refused(const mig_error *err, mig_error *keep_first);

/* --- restore_write.c: bounded batches, in each deletes before replacements before inserts --- */
typedef struct mig_writer mig_writer;
typedef struct mig_writer_options {
  const char *collection;
  bool guarded;      /* removes and replaces only documents that are still as given */
  bool delete_first; /* replacements are deletes and inserts */
  /* Called once, when the server first refuses documents: makes room (unique indexes, validator). May be NULL. */
  bool (*relax)(void *arg, mig_error *err);
  void *relax_arg;
  mig_error *refused; /* gets the first refusal, with the _id */
  const char *what;   /* for progress */
  uint64_t total;
} mig_writer_options;
bool mig_writer_open(mig_work *w, const mig_writer_options *options, mig_writer **out, mig_error *err);
bool mig_writer_insert(mig_writer *wr, const bson_t *doc, mig_error *err);
bool mig_writer_replace(mig_writer *wr, const bson_t *doc, const bson_t *live, mig_error *err);
bool mig_writer_remove(mig_writer *wr, const bson_t *live, mig_error *err);
bool mig_writer_flush(mig_writer *wr, mig_error *err);
void mig_writer_counts(const mig_writer *wr, int64_t *written, int64_t *removed);
void mig_writer_free(mig_writer *wr);

#endif

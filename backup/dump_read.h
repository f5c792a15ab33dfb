/*
 * dump_read.h - what mongodump wrote: a folder (also of one database), or an archive; also with --gzip
 *
 *     open --> collections --> scan (every document's place) --> read (one document at its place)* --> close
 *
 * open() finds the collections of one database and their metadata. scan() goes over everything once and checks it:
 * lengths, that nothing ends in the middle, the check sums of gzip and of an archive, that no collection of it is
 * unfinished or unnamed. What is compressed, or comes by a pipe, is copied to an unnamed file in the spool folder
 * first. Trust: none. Names in a dump never become paths (files are opened by the names that the folder lists). Errors:
 * MIG_E_INPUT names file and place; MIG_E_USAGE when it holds several databases; MIG_E_UNSUPPORTED: time series.
 */
#ifndef MIG_BACKUP_DUMP_READ_H
#define MIG_BACKUP_DUMP_READ_H

#include "backup/dump_meta.h"
#include "backup/dump_sort.h"
#include "base/work.h"

typedef struct mig_dump_collection {
  char *name;
  mig_dump_meta meta;
  bool natural;     /* capped */
  bool has_data;    /* false: a view, or an export of ours without documents */
  char *path;       /* of its .bson; NULL: in the archive or spool */
  uint64_t at, end; /* its bytes in the file of its own, or in the spool */
  bool finished;    /* in an archive: its end was seen */
  uint64_t crc;
} mig_dump_collection;

typedef struct mig_dump {
  mig_work *w;
  char *path, *spool_folder;
  char *database, *server_version;
  mig_dump_collection *collections;
  size_t count;
  bool is_archive;
  bool only_some; /* collections were named */
  bool oplog_told;
  bool stored_left;       /* it has MIG_STORED, which is left out */
  int fd;                 /* the archive, or the spool; -1 */
  uint64_t bytes, blocks; /* of the archive; where its first block begins */
  int open_fd;            /* of the collection read last; -1 */
  size_t open_number;
} mig_dump;

typedef struct mig_dump_open_options {
  const char *path;         /* "-": standard input, an archive */
  const char *database;     /* which one, where there are several; NULL: the only one */
  bool insists;             /* on that one, also where there is only another */
  const char *const *only;  /* collections; NULL: all but the server's own and what a snapshot leaves out */
  const char *spool_folder; /* the store's */
} mig_dump_open_options;

bool mig_dump_open(mig_work *w, const mig_dump_open_options *options, mig_dump **out, mig_error *err);
void mig_dump_close(mig_dump *d);
typedef bool (*mig_dump_visit)(void *arg, const mig_dump_place *place, bool natural, const bson_t *doc, mig_error *err);
bool mig_dump_scan(mig_dump *d, mig_dump_visit visit, void *arg, mig_error *err);
/* The bytes are in `out`, which is emptied first. */
bool mig_dump_read(mig_dump *d, const mig_dump_place *place, mig_buf *out, mig_error *err);

/* --- between the parts: dump_open.c, dump_folder.c, dump_archive.c, dump_spool.c --- */
/* The collection's slot; NULL and no error (code MIG_OK) when it is not wanted. */
bool mig_dump_add(mig_dump *d, const mig_dump_open_options *o, const char *name, mig_dump_collection **out,
                  mig_error *err);
/* The server's own collections, and what a snapshot leaves out. */
bool mig_dump_leaves_out(const char *name);
/* That it is left out, once. */
void mig_dump_say_oplog(mig_dump *d, const char *path);
/* Makes the choice known; *right: this is the database that was asked for, or the first. */
bool mig_dump_choose(mig_dump *d, const mig_dump_open_options *o, const char *const *databases, size_t count,
                     mig_error *err);
bool mig_dump_open_folder(mig_dump *d, const mig_dump_open_options *o, mig_error *err);
bool mig_dump_open_archive(mig_dump *d, const mig_dump_open_options *o, mig_error *err);
bool mig_dump_scan_archive(mig_dump *d, mig_dump_visit visit, void *arg, mig_error *err);
bool mig_dump_is_gzip(int fd);
/* Appends what fd holds, unpacked, to the spool; *at and *end say where it stands there. may_be_plain: what does not
 * begin as gzip does is copied; otherwise it is refused, as is all that is not whole members of gzip to its end. */
bool mig_dump_spool(mig_dump *d, int fd, const char *path, bool may_be_plain, uint64_t *at, uint64_t *end,
                    mig_error *err);

/* Documents one after another out of a part of a file. */
typedef struct mig_dump_stream {
  int fd;
  const char *path; /* for messages */
  uint64_t at, end; /* of what is not in the buffer yet */
  mig_buf buffer;
  size_t used;
} mig_dump_stream;
void mig_dump_stream_open(mig_dump_stream *s, int fd, const char *path, uint64_t at, uint64_t end);
/* MIG_DUMP_MARK: an archive's four bytes FF (only with marks). The document is borrowed until the next call. */
typedef enum mig_dump_next { MIG_DUMP_DOC, MIG_DUMP_MARK, MIG_DUMP_END, MIG_DUMP_ERROR } mig_dump_next;
mig_dump_next mig_dump_stream_next(mig_dump_stream *s, bool marks, bson_t *doc, uint64_t *offset, mig_error *err);
void mig_dump_stream_close(mig_dump_stream *s);

#endif

/*
 * archive_read.h - opens a snapshot archive, verifies it, and reads documents out of it
 *
 *     open --> [unlock] --> verify --> manifest ... documents(collection) --> next* --> close --> free
 *
 * open() finds and checks the manifest (last member) and that the members on disk are exactly the manifest's, in
 * order, at the offsets it gives (of a far file, blob.h, the latter is left to verify()). verify() reads everything:
 * every stored and raw hash, every document's structure, all counts, and the sum of the whole file; done again on the
 * same archive it reads nothing as long as the file was not touched since the first time. Restore verifies before its
 * first write. Documents are only read after verify(), and are hashed again as they are read (the file may change
 * meanwhile). Of an encrypted archive it is verify() that finds the first and last _id of each chunk. The file is held
 * open: renaming or removing it meanwhile does no harm. Ownership: the manifest and the path are borrowed from the
 * archive; cursors are closed before it is freed. Trust: none. Sizes are claims, names never become paths, a frame may
 * not grow past its raw_bytes. Errors: MIG_E_ARCHIVE names file and member; MIG_E_STORE when the file cannot be opened
 * or read. Memory: the manifest and one chunk (one more for each cursor).   Threads: one archive, one thread; but see
 * range().
 */
#ifndef MIG_BACKUP_ARCHIVE_READ_H
#define MIG_BACKUP_ARCHIVE_READ_H

#include "backup/manifest.h"
#include "base/observer.h"

typedef struct mig_archive mig_archive;
typedef struct mig_archive_cursor mig_archive_cursor;
struct mig_chunk_reader;

bool mig_archive_open(const char *path, mig_archive **out, mig_error *err);
void mig_archive_free(mig_archive *a);
const mig_manifest *mig_archive_contents(const mig_archive *a);
const char *mig_archive_path(const mig_archive *a);
/* For an encrypted archive, before verify(): with no key, or another one, the error says so. Others need none. */
bool mig_archive_unlock(mig_archive *a, const mig_key *key, mig_error *err);
void mig_archive_expect_key(mig_archive *a); /* a key is set, and needed by no archive in the clear: verify() tells */
bool mig_archive_open_with(const char *path, const mig_key *key, mig_archive **out, mig_error *err); /* both */
/* How many threads verify() may use; without: see mig_jobs (pipeline.h). */
void mig_archive_jobs(mig_archive *a, unsigned jobs);
/* Warns of an archive that is not what its name says, and of one in the clear where a key is set. */
bool mig_archive_verify(mig_archive *a, const mig_observer *observer, mig_error *err);
/* After verify(): whether that very file still stands at its path. We hold it open, but who goes on after a crash opens
 * it by the path. */
bool mig_archive_still_there(const mig_archive *a, mig_error *err);
/* Whether the file is the one that was written, by its own sum and without a look into its chunks: needs no key. */
bool mig_archive_check_sum(mig_archive *a, mig_error *err);
/* The hash of the whole file, for comparing with the ledger's. After verify(), and for nothing: of the very bytes that
 * were verified. */
bool mig_archive_sha256(mig_archive *a, char sha256[static MIG_SHA256_HEX], uint64_t *bytes, mig_error *err);

/* Documents of a collection in archive order, from a chunk on (0: all). */
bool mig_archive_documents(mig_archive *a, const mig_collection_entry *entry, size_t from_chunk,
                           mig_archive_cursor **out, mig_error *err);
/* The same of `count` chunks only. On a verified archive other threads may have cursors, too: each its own. */
bool mig_archive_range(const mig_archive *a, const mig_collection_entry *entry, size_t from_chunk, size_t count,
                       mig_archive_cursor **out, mig_error *err);
/* One chunk's documents, one after another in reader->raw (chunk.h). Any thread may, with a reader of its own. */
bool mig_archive_chunk(const mig_archive *a, const mig_collection_entry *entry, size_t number,
                       struct mig_chunk_reader *reader, mig_error *err);
typedef enum mig_archive_next { MIG_ARCHIVE_DOC, MIG_ARCHIVE_END, MIG_ARCHIVE_ERROR } mig_archive_next;
/* *doc is a view, valid until the next call. */
mig_archive_next mig_archive_cursor_next(mig_archive_cursor *c, bson_t *doc, mig_error *err);
void mig_archive_cursor_close(mig_archive_cursor *c);

#endif

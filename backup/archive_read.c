/* Opening: finds the manifest, then holds the file against it. */
#include <string.h>

#include "backup/archive_internal.h"
#include "backup/chunk.h"
#include "backup/manifest_internal.h"
#include "backup/tar_walk.h"

typedef struct last_member {
  uint64_t offset, bytes; /* offset 0: it is not the manifest */
} last_member;

static bool note_last(void *arg, const char *name, uint64_t offset, uint64_t bytes, mig_error *err) {
  last_member *last = arg;
  (void)err;
  *last = (last_member){strcmp(name, MIG_MANIFEST_MEMBER) == 0 ? offset : 0, bytes};
  return true;
}

static bool find_manifest(const mig_archive *a, last_member *last, mig_error *err) {
  if (!mig_blob_is_far(a->file)) return mig_tar_walk(a->file, note_last, last, err);
  return mig_tar_last(a->file, MIG_MANIFEST_MEMBER, MIG_MANIFEST_MAX_BYTES, &last->offset, &last->bytes, err);
}

static bool read_manifest(mig_archive *a, mig_error *err) {
  last_member last = {0};
  mig_buf json = MIG_BUF(MIG_MANIFEST_MAX_BYTES);
  if (!find_manifest(a, &last, err)) return false;
  if (!last.offset) {
    mig_fail(err, MIG_E_ARCHIVE, "%s is not a snapshot archive", a->path);
    return mig_why(err, "its last member is not " MIG_MANIFEST_MEMBER);
  }
  a->manifest_offset = last.offset;
  a->manifest_bytes = last.bytes;
  bool ok = mig_read_member(a->file, MIG_MANIFEST_MEMBER, last.offset, last.bytes, &json, err);
  if (ok && !mig_manifest_parse(mig_buf_text(&json), json.size, &a->manifest, err))
    ok = mig_fail_at(err, "%s", a->path);
  mig_buf_free(&json);
  return ok;
}

typedef struct comparison {
  const mig_archive *a;
  mig_member_walk walk;
  bool manifest_seen;
} comparison;

static bool compare_member(void *arg, const char *name, uint64_t offset, uint64_t bytes, mig_error *err) {
  comparison *c = arg;
  mig_member expected = {0};
  if (!c->manifest_seen && !mig_member_next(c->a->manifest, &c->walk, &expected)) {
    c->manifest_seen = true;
    expected =
        (mig_member){.name = MIG_MANIFEST_MEMBER, .offset = c->a->manifest_offset, .bytes = c->a->manifest_bytes};
  }
  if (expected.name && strcmp(expected.name, name) == 0 && expected.offset == offset && expected.bytes == bytes)
    return true;
  mig_fail(err, MIG_E_ARCHIVE, "%s: the members are not those of its manifest", c->a->path);
  return mig_why(err, "%.200s (%llu bytes at %llu) stands where %.200s (%llu bytes at %llu) should be", name,
                 (unsigned long long)bytes, (unsigned long long)offset, expected.name ? expected.name : "nothing",
                 (unsigned long long)expected.bytes, (unsigned long long)expected.offset);
}

bool mig_archive_check_members(mig_archive *a, mig_error *err) {
  comparison c = {.a = a};
  if (a->members_checked) return true;
  if (!mig_tar_walk(a->file, compare_member, &c, err)) return false;
  a->members_checked = c.manifest_seen;
  return c.manifest_seen || mig_fail(err, MIG_E_ARCHIVE, "%s: members of its manifest are missing", a->path);
}

static bool check_header(mig_archive *a, mig_error *err) {
  mig_buf expected = MIG_BUF(MIG_HEADER_MAX_BYTES), found = MIG_BUF(MIG_HEADER_MAX_BYTES);
  const mig_manifest *m = a->manifest;
  bool ok = mig_manifest_header(m, &expected, err) &&
            mig_read_member(a->file, MIG_HEADER_MEMBER, m->header_offset, m->header_bytes, &found, err);
  if (ok && (expected.size != found.size || memcmp(expected.data, found.data, found.size) != 0))
    ok = mig_fail(err, MIG_E_ARCHIVE, "%s: " MIG_HEADER_MEMBER " is not what the manifest tells of", a->path);
  mig_buf_free(&found);
  mig_buf_free(&expected);
  return ok;
}

bool mig_archive_open(const char *path, mig_archive **out, mig_error *err) {
  *out = NULL;
  mig_archive *a = mig_alloc(sizeof *a);
  if (!a) return mig_no_memory(err, "archive");
  bool ok = mig_blob_open(path, &a->file, err);
  if (ok) {
    a->path = mig_blob_path(a->file);
    a->bytes = mig_blob_bytes(a->file);
  }
  ok = ok && read_manifest(a, err) && (mig_blob_is_far(a->file) || mig_archive_check_members(a, err)) &&
       check_header(a, err);
  if (!ok) {
    mig_archive_free(a);
    return false;
  }
  *out = a;
  return true;
}

void mig_archive_free(mig_archive *a) {
  if (!a) return;
  mig_crypt_free(a->crypt);
  mig_manifest_free(a->manifest);
  mig_blob_close(a->file);
  mig_free(a);
}

/* Only who has the key could write this manifest: nothing in it was changed, and no collection or chunk left out. */
bool mig_archive_authentic(const mig_archive *a, const mig_crypt *crypt, mig_error *err) {
  mig_buf body = MIG_BUF(MIG_MANIFEST_MAX_BYTES);
  char mac[MIG_SHA256_HEX];
  bool ok = mig_manifest_body(a->manifest, &body, err) && mig_crypt_mac(crypt, body.data, body.size, mac, err);
  if (ok && strcmp(mac, a->manifest->encryption.mac) != 0) {
    ok = mig_fail(err, MIG_E_ARCHIVE, MIG_MANIFEST_MEMBER " was altered");
    mig_why(err, "the key is the right one, but its HMAC is another");
    mig_hint(err, "nothing was taken from it; use another copy of the snapshot");
  }
  mig_buf_free(&body);
  return ok;
}

void mig_archive_expect_key(mig_archive *a) {
  a->key_set = true;
}

bool mig_archive_unlock(mig_archive *a, const mig_key *key, mig_error *err) {
  const mig_manifest *m = a->manifest;
  mig_crypt *crypt = NULL;
  if (key) mig_archive_expect_key(a);
  if (!m->encryption.used || a->crypt) return true;
  if (mig_crypt_open(key, m->id, &m->encryption, &crypt, err) && mig_archive_authentic(a, crypt, err)) {
    a->crypt = crypt;
    return true;
  }
  mig_crypt_free(crypt);
  return mig_fail_at(err, "%s", a->path);
}

bool mig_archive_open_with(const char *path, const mig_key *key, mig_archive **out, mig_error *err) {
  if (!mig_archive_open(path, out, err)) return false;
  if (mig_archive_unlock(*out, key, err)) return true;
  mig_archive_free(*out);
  *out = NULL;
  return false;
}

const mig_manifest *mig_archive_contents(const mig_archive *a) {
  return a->manifest;
}

void mig_archive_jobs(mig_archive *a, unsigned jobs) {
  a->jobs = jobs;
}

const char *mig_archive_path(const mig_archive *a) {
  return a->path;
}

#include "backup/sign.h"

#include "backup/archive_internal.h"
#include "backup/store.h"

#define SIGNATURE_FILE_MAX 4096u

/* The text that was written, or parsed, and by which verify() judges the file; not what may stand in the file a moment
 * later: the format has one text for each manifest, and open() has seen that it was this one. */
static bool manifest_text(const mig_manifest *m, mig_buf *text, mig_error *err) {
  *text = MIG_BUF(MIG_MANIFEST_MAX_BYTES);
  return mig_manifest_write(m, text, err);
}

static char *signature_path(const char *path, mig_error *err) {
  char *out = mig_strdup_printf("%s" MIG_SIGN_SUFFIX, path);
  if (!out) mig_no_memory(err, "path");
  return out;
}

bool mig_sign_manifest(const mig_sign_key *key, const mig_manifest *m, const char *path, mig_error *err) {
  mig_buf text = {0};
  uint8_t signature[MIG_SIGNATURE_BYTES];
  char *beside = signature_path(path, err);
  const bool ok = beside && manifest_text(m, &text, err) && mig_sign_bytes(key, text.data, text.size, signature, err) &&
                  mig_blob_put(beside, signature, sizeof signature, err);
  mig_buf_free(&text);
  mig_free(beside);
  return ok;
}

static bool read_signature(const char *path, mig_buf *out, mig_error *err) {
  char *beside = signature_path(path, err);
  bool there = false;
  bool ok = beside && mig_blob_get(beside, SIGNATURE_FILE_MAX, &there, out, err);
  if (ok && !there) {
    ok = mig_fail(err, MIG_E_ARCHIVE, "%s is not signed", path);
    mig_why(err, "there is no %s", beside);
    mig_hint(err, "do not restore it unless you know where it comes from");
  }
  mig_free(beside);
  return ok;
}

bool mig_sign_check(const mig_archive *a, const char *public_pem, mig_error *err) {
  mig_buf text = {0}, signature = {0};
  bool fit = false;
  if (mig_store_names_another(a->path, a->manifest->id)) { /* with its own signature, even */
    mig_fail(err, MIG_E_ARCHIVE, "%s is not the snapshot of that name", a->path);
    mig_why(err, "it holds %s: another snapshot was put in its place", a->manifest->id);
    return mig_hint(err, "if that is the one you want, give the file its own name");
  }
  bool ok = read_signature(a->path, &signature, err) && manifest_text(a->manifest, &text, err) &&
            mig_sign_bytes_fit(public_pem, text.data, text.size, &signature, &fit, err);
  if (ok && !fit) {
    ok = mig_fail(err, MIG_E_ARCHIVE, "%s is not signed by the holder of %s", a->path, public_pem);
    mig_why(err, "the signature does not fit manifest.json: another signer, or it was altered");
    mig_hint(err, "do not restore it unless you know where it comes from");
  }
  mig_buf_free(&signature);
  mig_buf_free(&text);
  return ok;
}

/*
 * json_scan.h - walks the structure of a JSON text without building anything: positions, comments, duplicate keys
 *
 *     mig_scan s = {.text = text, .size = size, .tidy = true};
 *     mig_scan_document(&s)  -->  false: s.wrong says what, s.wrong_at where (offset of the first offending byte)
 *
 * libbson's reader makes the values; it knows no comments, takes the second of two equal keys, has no positions for
 * half of its errors, and misreads some texts silently. So the first walk (tidy) checks all this and rewrites the text
 * in place, every byte at its old offset: comments become spaces, keys lose their escapes, and "$type", "$regex" and
 * "$options" get MIG_SCAN_MARK for their '$': libbson takes these query operators for old Extended JSON.
 * A later walk (without tidy) goes over the rewritten text and finds positions.
 * Trust: the text is untrusted; depth and memory are bounded. The text must be valid UTF-8 without zero bytes.
 */
#ifndef MIG_BASE_JSON_SCAN_H
#define MIG_BASE_JSON_SCAN_H

#include "base/mem.h"

#define MIG_SCAN_MARK  '\x7f'
#define MIG_SCAN_DEPTH 90 /* libbson stops at 98 */

typedef struct mig_span {
  char *at;
  size_t size;
} mig_span;

typedef struct mig_scan {
  char *text;
  size_t size, pos;
  bool tidy;
  bool marked;    /* some key got MIG_SCAN_MARK */
  bool no_memory; /* that is what went wrong */
  mig_buf keys;   /* keys of the objects that are open, as mig_span */
  size_t wrong_at;
  char wrong[200], hint[200];
} mig_scan;

/* The whole text: one object, with nothing but space and comments around it. Frees what it needed. */
bool mig_scan_document(mig_scan *s);

/* Steps through an object or array: pos must be at its '{' or '[' at first; afterwards pos is at the member's value,
 * which the caller skips with mig_scan_value(), or behind the closing bracket. key is empty in an array. */
typedef enum mig_scan_at { MIG_SCAN_MEMBER, MIG_SCAN_END, MIG_SCAN_WRONG } mig_scan_at;
mig_scan_at mig_scan_next(mig_scan *s, char open, bool *first, mig_span *key);
bool mig_scan_value(mig_scan *s, const mig_span *key, int depth);
bool mig_scan_space(mig_scan *s);

/* Used by the walk: fills wrong and wrong_at; always false. */
bool mig_scan_wrong(mig_scan *s, size_t at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool mig_scan_hint(mig_scan *s, const char *hint); /* always false */
/* json_key.c: rewrites a key without escapes, marks operators, and finds a key that its object already has. */
bool mig_scan_tidy_key(mig_scan *s, mig_span *key);
bool mig_scan_add_key(mig_scan *s, mig_span key);
bool mig_scan_keys_unique(mig_scan *s, size_t from);
/* json_extended.c: why libbson would misread this member silently; NULL when it would not. raw: the value's text. */
const char *mig_scan_misread(const mig_span *parent, const mig_span *key, const mig_span *raw);

#endif

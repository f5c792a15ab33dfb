/*
 * A transform by arbitrary code: telephone numbers, as people typed them, become +<country><number>.
 *
 *     "(030) 123-4567" --> "+49301234567"     "0044 20 7946 0000" --> "+442079460000"     "n/a" --> removed, counted
 *
 * The old text is kept in phoneAsTyped, so that down can put it back.
 */
#include <ctype.h>
#include <mig.h>
#include <string.h>

typedef struct counts {
  int64_t changed, unusable;
} counts;

/* Digits with a country code in front; false: this is no telephone number. */
static bool normalise(const char *typed, char *out, size_t size) {
  char digits[32];
  size_t n = 0;
  for (const char *p = typed; *p; p++) {
    if (isdigit((unsigned char)*p) && n + 1 < sizeof digits) digits[n++] = *p;
    if (isalpha((unsigned char)*p)) return false;
  }
  digits[n] = 0;
  if (n < 6) return false;
  bool international = typed[0] == '+' || strncmp(digits, "00", 2) == 0;
  const char *rest = typed[0] == '+' ? digits : digits + (international ? 2 : digits[0] == '0' ? 1 : 0);
  return strlen(rest) + 4 < size && strcat(strcpy(out, international ? "+" : "+49"), rest);
}

static bool one(mig_ctx *ctx, mig_doc user, mig_doc *after, void *arg) {
  counts *c = arg;
  const char *typed = NULL;
  char phone[40];
  if (!mig_doc_text(user, "phone", &typed)) return true; /* another type: left alone */
  if (normalise(typed, phone, sizeof phone)) {
    c->changed++;
    *after = mig_ctx_merge(ctx, user, mig_ctx_doc(ctx, "{'phone': %s, 'phoneAsTyped': %s}", phone, typed));
  } else {
    c->unusable++;
    *after = mig_ctx_merge(ctx, user, mig_ctx_doc(ctx, "{'phone': null, 'phoneAsTyped': %s}", typed));
  }
  return true;
}

static bool up(mig_ctx *ctx) {
  counts c = {0, 0};
  mig_doc typed = mig_ctx_doc(ctx, "{'phone': {'$exists': true}, 'phoneAsTyped': {'$exists': false}}");
  if (!mig_ctx_transform(ctx, "users", typed, one, &c)) return false;
  mig_ctx_log(ctx, "%lld numbers in one form, %lld that are none", (long long)c.changed, (long long)c.unusable);
  return true;
}

static bool back(mig_ctx *ctx, mig_doc user, mig_doc *after, void *arg) {
  (void)arg;
  const char *typed = NULL;
  if (!mig_doc_text(user, "phoneAsTyped", &typed)) return true;
  *after = mig_ctx_merge(ctx, user, mig_ctx_doc(ctx, "{'phone': %s}", typed));
  return true;
}

static bool down(mig_ctx *ctx) {
  return mig_ctx_transform(ctx, "users", mig_ctx_doc(ctx, "{'phoneAsTyped': {'$exists': true}}"), back, NULL) &&
         mig_ctx_step(ctx, mig_ctx_doc(ctx, "{'removeField': {'collection': 'users', 'field': 'phoneAsTyped'}}"));
}

const mig_module mig_module_descriptor = {
    .abi = MIG_MODULE_ABI,
    .version = "1.10.0",
    .description = "Telephone numbers in one form",
    .writes = MIG_LIST("users"),
    .guards = MIG_LIST("{'collectionExists': {'collection': 'users'}}"),
    .verify = MIG_LIST("{'matches': {'collection': 'users', 'expect': 'none', "
                       "'filter': {'phone': {'$type': 'string', '$not': {'$regex': '^[+][0-9]+$'}}}}}"),
    .up = up,
    .down = down,
};

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "base/fs.h"
#include "validators/guard.h"

static const struct unit {
  const char *name;
  uint64_t bytes;
} units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {"kB", 1000},
    {"MB", 1000000},
    {"GB", UINT64_C(1000000000)},
    {"TB", UINT64_C(1000000000000)},
};

/* "1.5 GiB": digits, up to three more behind the point, a unit. No strtod: it depends on the locale. */
static bool parse_size(const char *text, uint64_t *out) {
  uint64_t thousandths = 0;
  int behind = -1;
  if (!isdigit((unsigned char)*text)) return false;
  for (; isdigit((unsigned char)*text) || (*text == '.' && behind < 0); text++) {
    if (*text == '.' || behind >= 0) behind++;
    if (*text == '.') continue;
    if (behind > 3 || thousandths > (UINT64_MAX - 9) / 10) return false;
    thousandths = thousandths * 10 + (uint64_t)(*text - '0');
  }
  if (behind == 0) return false;
  for (int i = behind < 0 ? 0 : behind; i < 3; i++) {
    if (thousandths > UINT64_MAX / 10) return false;
    thousandths *= 10;
  }
  while (*text == ' ') text++;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (strcasecmp(text, units[i].name) != 0) continue;
    if (thousandths / 1000 > (UINT64_MAX >> 1) / units[i].bytes) return false;
    *out = thousandths / 1000 * units[i].bytes + thousandths % 1000 * units[i].bytes / 1000;
    return true;
  }
  return false;
}

static bool size_of(const bson_t *args, const char *name, uint64_t *out) {
  const char *text = NULL;
  int64_t n = 0;
  if (mig_bson_int(args, name, &n) && n >= 0) {
    *out = (uint64_t)n;
    return true;
  }
  return mig_bson_str(args, name, &text) && parse_size(text, out);
}

static bool check(const bson_t *args, mig_error *err) {
  static const char *const names[] = {"min", "max"};
  uint64_t size[2] = {0, UINT64_MAX};
  for (int i = 0; i < 2; i++) {
    if (!bson_has_field(args, names[i]) || size_of(args, names[i], &size[i])) continue;
    mig_guard_bad(err, names[i], "\"%s\" is not a size", names[i]);
    return mig_hint(err, "a number of bytes, or a string such as \"500 MB\" or \"1.5GiB\"");
  }
  return size[0] <= size[1] || mig_guard_bad(err, "min", "\"min\" is more than \"max\"");
}

static void human(uint64_t bytes, char *text, size_t size) {
  static const char *const names[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int unit = 0;
  double n = (double)bytes;
  for (; n >= 1024 && unit < 5; unit++) n /= 1024;
  snprintf(text, size, "%.*f %s", unit ? 1 : 0, n, names[unit]);
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  uint64_t min = 0, max = UINT64_MAX, there = 0;
  char have[32], want[32];
  if (!env->store_folder) {
    mig_fail(err, MIG_E_USAGE, "there is no snapshot store whose space could be looked at");
    return mig_hint(err, "name a folder with --store or MIG_STORE, or \"store\" in mig.json");
  }
  size_of(args, "min", &min);
  size_of(args, "max", &max);
  if (!mig_fs_free_bytes(env->store_folder, &there, err)) return false;
  if (there >= min && there <= max) return true;
  human(there, have, sizeof have);
  human(there < min ? min : max, want, sizeof want);
  if (there < min) mig_guard_hint(out, "free some space (old snapshots, say), or choose another place with --store");
  return mig_guard_refuse(out, "the snapshot store %s has %s free, expected at %s %s", env->store_folder, have,
                          there < min ? "least" : "most", want);
}

static const mig_arg args[] = {
    {"min", MIG_ARG_ANY, true, "bytes, or a string such as \"500 MB\" or \"1.5GiB\""},
    {"max", MIG_ARG_ANY, false, "the same, as an upper limit (to tell a test machine from the real one, say)"},
    {0},
};

const mig_guard_def mig_guard_store_space = {
    .name = "storeSpace",
    .help = "the file system of the snapshot store has at least (at most) so much free space",
    .args = args,
    .check = check,
    .run = run,
};

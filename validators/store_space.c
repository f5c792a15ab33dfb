#include "base/fs.h"
#include "validators/size.h"

static bool check(const bson_t *args, mig_error *err) {
  static const char *const names[] = {"min", "max"};
  uint64_t size[2] = {0, UINT64_MAX};
  for (int i = 0; i < 2; i++) {
    if (!bson_has_field(args, names[i]) || mig_size_of(args, names[i], &size[i])) continue;
    mig_guard_bad(err, names[i], "\"%s\" is not a size", names[i]);
    return mig_hint(err, "a number of bytes, or a string such as \"500 MB\" or \"1.5GiB\"");
  }
  return size[0] <= size[1] || mig_guard_bad(err, "min", "\"min\" is more than \"max\"");
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  uint64_t min = 0, max = UINT64_MAX, there = 0;
  char have[32], want[32];
  if (!env->store_folder) {
    mig_fail(err, MIG_E_USAGE, "there is no snapshot store whose space could be looked at");
    mig_why(err, "it is no folder: a bucket has no free space that it could tell");
    return mig_hint(err, "name a folder with --store or MIG_STORE, or take storeSpace out of the migration");
  }
  mig_size_of(args, "min", &min);
  mig_size_of(args, "max", &max);
  if (!mig_fs_free_bytes(env->store_folder, &there, err)) return false;
  if (there >= min && there <= max) return true;
  mig_size_text(there, have, sizeof have);
  mig_size_text(there < min ? min : max, want, sizeof want);
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
    .example = "{\"storeSpace\": {\"min\": \"5 GiB\"}}",
};

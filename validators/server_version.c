#include <ctype.h>
#include <stdio.h>

#include "validators/guard.h"

#define PARTS 4

typedef struct version {
  uint32_t part[PARTS];
  int count;
} version;

/* Digits and dots; *end is where it stopped, as a server may add "-rc1" or "-12" (Percona's release). */
static version parse(const char *text, const char **end) {
  version v = {0};
  while (isdigit((unsigned char)*text) && v.count < PARTS) {
    uint32_t n = 0;
    for (; isdigit((unsigned char)*text); text++) n = n > 99999999 ? n : n * 10 + (uint32_t)(*text - '0');
    v.part[v.count++] = n;
    if (*text != '.' || !isdigit((unsigned char)text[1]) || v.count == PARTS) break;
    text++;
  }
  *end = text;
  return v;
}

/* Compares only as many parts as `asked` has: 7.0.5 is not above "7" and not below it. */
static int compare(const version *there, const version *asked) {
  for (int i = 0; i < asked->count; i++)
    if (there->part[i] != asked->part[i]) return there->part[i] < asked->part[i] ? -1 : 1;
  return 0;
}

static bool check(const bson_t *args, mig_error *err) {
  static const char *const names[] = {"min", "max"};
  version v[2] = {{.count = 0}, {.count = 0}};
  for (int i = 0; i < 2; i++) {
    const char *text = NULL, *end = NULL;
    if (!mig_bson_str(args, names[i], &text)) continue;
    v[i] = parse(text, &end);
    if (!v[i].count || *end)
      return mig_guard_bad(err, names[i], "\"%.40s\" is not a version such as \"5.0\" or \"4.4.18\"", text);
  }
  if (!v[0].count && !v[1].count) return mig_guard_bad(err, NULL, "give \"min\" or \"max\"");
  if (v[0].count && v[1].count && compare(&v[0], &v[1]) > 0)
    return mig_guard_bad(err, "min", "\"min\" is above \"max\"");
  return true;
}

/* What the probe found, else buildInfo now. */
static bool ask(const mig_guard_env *env, char *text, size_t size, mig_error *err) {
  const char *name = NULL;
  if (env->work->caps && env->work->caps->version[0]) {
    snprintf(text, size, "%s", env->work->caps->version);
    return true;
  }
  bson_t command = BSON_INITIALIZER, reply;
  BSON_APPEND_INT32(&command, "buildInfo", 1);
  bool ok = mig_db_admin(env->work->db, &command, &reply, err);
  if (ok && !mig_bson_str(&reply, "version", &name))
    ok = mig_fail(err, MIG_E_SERVER, "%s does not tell its version", mig_db_label(env->work->db));
  if (ok) snprintf(text, size, "%s", name);
  bson_destroy(&reply);
  bson_destroy(&command);
  return ok;
}

static bool run(const mig_guard_env *env, const bson_t *args, mig_guard_result *out, mig_error *err) {
  const char *min = NULL, *max = NULL, *end = NULL;
  char text[64];
  if (!ask(env, text, sizeof text, err)) return false;
  version there = parse(text, &end);
  if (!there.count) return mig_fail(err, MIG_E_SERVER, "the server's version \"%s\" cannot be read", text);
  if (mig_bson_str(args, "min", &min)) {
    version v = parse(min, &end);
    if (compare(&there, &v) < 0)
      return mig_guard_refuse(out, "the server calls itself version %s, expected %s or newer", text, min);
  }
  if (mig_bson_str(args, "max", &max)) {
    version v = parse(max, &end);
    if (compare(&there, &v) > 0)
      return mig_guard_refuse(out, "the server calls itself version %s, expected %s or older", text, max);
  }
  return true;
}

static const mig_arg args[] = {
    {"min", MIG_ARG_STRING, false, "\"4.4\": 4.4.0 and everything newer"},
    {"max", MIG_ARG_STRING, false, "\"7\": every 7.x.y and everything older"},
    {0},
};

const mig_guard_def mig_guard_server_version = {
    .name = "serverVersion",
    .help = "the version that the server calls itself, compared number by number, is within min and max",
    .args = args,
    .check = check,
    .run = run,
    .example = "{\"serverVersion\": {\"min\": \"4.4\"}}",
};

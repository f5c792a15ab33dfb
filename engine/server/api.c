#include "server/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool mig_api_number(const mig_request *q, const char *name, int64_t fallback, int64_t most, int64_t *out,
                    mig_error *err) {
  const char *text = NULL;
  *out = fallback;
  if (!mig_bson_str(q->query, name, &text)) return true;
  size_t n = strlen(text);
  long value = n > 0 && n <= 9 && strspn(text, "0123456789") == n ? strtol(text, NULL, 10) : 0;
  *out = value;
  if (value >= 1 && value <= most) return true;
  mig_fail(err, MIG_E_USAGE, "the parameter \"%s\" cannot be \"%.40s\"", name, text);
  return mig_why(err, "it takes a whole number from 1 to %lld", (long long)most);
}

bool mig_api_choice(const mig_request *q, const char *name, const char *const *choices, mig_error *err) {
  const char *text = NULL;
  if (!mig_bson_str(q->body, name, &text)) return true;
  for (const char *const *c = choices; *c; c++)
    if (strcmp(*c, text) == 0) return true;
  mig_fail(err, MIG_E_USAGE, "the argument \"%s\" cannot be \"%.40s\"", name, text);
  return mig_why(err, "it is \"%s\" or \"%s\"", choices[0], choices[1]);
}

bool mig_api_accept(const mig_request *q, const mig_order *order, mig_answer *a, mig_error *err) {
  char id[MIG_UUID_TEXT];
  mig_order with_name = *order;
  with_name.by = q->who;
  if (!mig_jobs_add(q->server->jobs, &with_name, id, err)) {
    a->retry_after_s = 10;
    return false;
  }
  a->doc = bson_new();
  mig_jobs_describe(q->server->jobs, id, a->doc);
  snprintf(a->location, sizeof a->location, "/api/runs/%s", id);
  a->status = 202;
  return true;
}

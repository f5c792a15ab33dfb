/* Errors as RFC 9457 problem documents. */
#include "server/http.h"

static const struct {
  unsigned status;
  const char *title;
} codes[MIG_CODE_COUNT] = {
    [MIG_OK] = {500, "Failed"},
    [MIG_E_FAILED] = {500, "Failed, nothing was changed"},
    [MIG_E_USAGE] = {400, "The request cannot be used as it is"},
    [MIG_E_INPUT] = {422, "A migration cannot be used as it is"},
    [MIG_E_GUARD] = {409, "A guard refused, nothing was changed"},
    [MIG_E_SERVER] = {502, "The database refused it"},
    [MIG_E_NETWORK] = {503, "The database does not answer"},
    [MIG_E_STORE] = {500, "The snapshot store or a file failed"},
    [MIG_E_ARCHIVE] = {422, "A snapshot is damaged, altered or none"},
    [MIG_E_UNSUPPORTED] = {501, "It cannot be done here"},
    [MIG_E_NO_MEMORY] = {503, "Out of memory"},
    [MIG_E_RESTORED] = {500, "Failed, and the data was restored"},
    [MIG_E_NOT_RESTORED] = {500, "Failed, and the data could not be restored"},
    [MIG_E_LEASE] = {409, "Another runner holds the lease"},
    [MIG_E_CHECK] = {409, "A check found problems"},
    [MIG_E_UNFINISHED] = {409, "An interrupted run waits for recovery"},
    [MIG_E_INTERRUPTED] = {503, "Interrupted"},
};

unsigned mig_http_status(mig_code code) {
  return (unsigned)code < MIG_CODE_COUNT ? codes[code].status : 500;
}

const char *mig_http_phrase(unsigned status) {
  static const struct {
    unsigned status;
    const char *phrase;
  } rows[] = {{400, "Bad Request"},         {401, "Unauthorized"},       {403, "Forbidden"},
              {404, "Not Found"},           {405, "Method Not Allowed"}, {409, "Conflict"},
              {413, "Content Too Large"},   {414, "URI Too Long"},       {415, "Unsupported Media Type"},
              {421, "Misdirected Request"}, {429, "Too Many Requests"},  {500, "Internal Server Error"},
              {503, "Service Unavailable"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].status == status) return rows[i].phrase;
  return "Error";
}

bool mig_http_fail(mig_answer *a, mig_error *err, unsigned status, const char *what, const char *why,
                   const char *hint) {
  a->status = status;
  a->title = mig_http_phrase(status);
  mig_fail(err, MIG_E_USAGE, "%s", what);
  mig_why(err, "%s", why);
  return mig_hint(err, "%s", hint);
}

bson_t *mig_http_problem(unsigned status, const char *title, const mig_error *err) {
  bson_t *doc = bson_new();
  char type[64] = "about:blank"; /* RFC 9457: the status says it all */
  mig_code code = (unsigned)err->code < MIG_CODE_COUNT ? err->code : MIG_E_FAILED;
  if (!title) snprintf(type, sizeof type, "urn:mig:error:%s", mig_code_name(code));
  BSON_APPEND_UTF8(doc, "type", type);
  BSON_APPEND_UTF8(doc, "title", title ? title : codes[code].title);
  BSON_APPEND_INT32(doc, "status", (int32_t)status);
  BSON_APPEND_UTF8(doc, "detail", err->what);
  if (!title) BSON_APPEND_UTF8(doc, "code", mig_code_name(code));
  BSON_APPEND_UTF8(doc, "why", mig_error_why(err));
  BSON_APPEND_UTF8(doc, "hint", mig_error_hint(err));
  if (err->server_code) BSON_APPEND_INT32(doc, "serverCode", err->server_code);
  return doc;
}

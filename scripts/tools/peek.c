/*
 * peek - looks at a database without mig: for quickstart and tests, so that mig does not have to vouch for itself
 *
 *     mig-peek digest DB [COLLECTION...]
 *         SHA-256 over all documents (raw bytes, in _id order), index specs and options
 *     mig-peek count DB COLLECTION
 *         documents
 *     mig-peek drop DB COLLECTION
 *         drops it, as somebody's slip of the hand would
 *     mig-peek scan DB
 *         reads every document and does nothing with it: the floor for scripts/bench
 *
 * The server is in MIG_URI. Uses libmongoc directly and nothing of mig. mig's own collections are left out.
 */
#include <mongoc/mongoc.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const bson_error_t *error) {
  fprintf(stderr, "mig-peek: %s\n", error->message);
  return 1;
}

static void add(EVP_MD_CTX *sum, const char *text) {
  EVP_DigestUpdate(sum, text, strlen(text) + 1);
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Index specs as canonical JSON, sorted, without what a rebuild may change. */
static bool add_indexes(EVP_MD_CTX *sum, mongoc_collection_t *c, bson_error_t *error) {
  char *lines[256];
  size_t n = 0;
  const bson_t *index;
  mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(c, NULL);
  while (n < 256 && mongoc_cursor_next(cursor, &index)) {
    bson_t plain = BSON_INITIALIZER;
    bson_copy_to_excluding_noinit(index, &plain, "ns", (char *)NULL);
    lines[n++] = bson_as_canonical_extended_json(&plain, NULL);
    bson_destroy(&plain);
  }
  bool ok = !mongoc_cursor_error(cursor, error);
  mongoc_cursor_destroy(cursor);
  qsort(lines, n, sizeof *lines, by_text);
  for (size_t i = 0; i < n; i++) {
    add(sum, lines[i]);
    bson_free(lines[i]);
  }
  return ok;
}

static bool add_collection(EVP_MD_CTX *sum, mongoc_database_t *db, const char *name, const bson_t *options,
                           int64_t *documents, bson_error_t *error) {
  bson_t all = BSON_INITIALIZER, *sorted = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}");
  const bson_t *doc;
  mongoc_collection_t *c = mongoc_database_get_collection(db, name);
  char *json = options ? bson_as_canonical_extended_json(options, NULL) : NULL;
  add(sum, name);
  add(sum, json ? json : "{}");
  mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, &all, sorted, NULL);
  while (mongoc_cursor_next(cursor, &doc)) {
    EVP_DigestUpdate(sum, bson_get_data(doc), doc->len);
    (*documents)++;
  }
  bool ok = !mongoc_cursor_error(cursor, error) && add_indexes(sum, c, error);
  mongoc_cursor_destroy(cursor);
  mongoc_collection_destroy(c);
  bson_free(json);
  bson_destroy(sorted);
  return ok;
}

static bool wanted(const char *name, int count, char **names) {
  if (strncmp(name, "migration", 9) == 0 || strncmp(name, "system.", 7) == 0) return false;
  for (int i = 0; i < count; i++)
    if (strcmp(names[i], name) == 0) return true;
  return count == 0;
}

typedef struct listed {
  char *name;
  bson_t *options;
} listed;

static int by_name(const void *a, const void *b) {
  return strcmp(((const listed *)a)->name, ((const listed *)b)->name);
}

static int digest(mongoc_database_t *db, int count, char **names) {
  bson_error_t error = {0};
  listed list[512];
  size_t n = 0;
  int64_t documents = 0;
  const bson_t *info;
  EVP_MD_CTX *sum = EVP_MD_CTX_new();
  EVP_DigestInit_ex(sum, EVP_sha256(), NULL);
  mongoc_cursor_t *cursor = mongoc_database_find_collections_with_opts(db, NULL);
  while (n < 512 && mongoc_cursor_next(cursor, &info)) {
    bson_iter_t it;
    const uint8_t *data = NULL;
    uint32_t size = 0;
    if (!bson_iter_init_find(&it, info, "name") || !wanted(bson_iter_utf8(&it, NULL), count, names)) continue;
    list[n].name = strdup(bson_iter_utf8(&it, NULL));
    list[n].options = NULL;
    if (bson_iter_init_find(&it, info, "options") && BSON_ITER_HOLDS_DOCUMENT(&it)) {
      bson_iter_document(&it, &size, &data);
      list[n].options = bson_new_from_data(data, size);
    }
    n++;
  }
  bool ok = !mongoc_cursor_error(cursor, &error);
  mongoc_cursor_destroy(cursor);
  qsort(list, n, sizeof *list, by_name);
  for (size_t i = 0; i < n; i++) {
    ok = ok && add_collection(sum, db, list[i].name, list[i].options, &documents, &error);
    free(list[i].name);
    if (list[i].options) bson_destroy(list[i].options);
  }
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(sum, bytes, &size);
  EVP_MD_CTX_free(sum);
  if (!ok) return fail(&error);
  for (unsigned i = 0; i < size; i++) printf("%02x", bytes[i]);
  printf("  %zu collections, %lld documents\n", n, (long long)documents);
  return 0;
}

static int count_or_drop(mongoc_database_t *db, const char *verb, const char *name) {
  bson_error_t error = {0};
  bson_t all = BSON_INITIALIZER;
  mongoc_collection_t *c = mongoc_database_get_collection(db, name);
  int code = 0;
  if (strcmp(verb, "count") == 0) {
    int64_t n = mongoc_collection_count_documents(c, &all, NULL, NULL, NULL, &error);
    if (n < 0)
      code = fail(&error);
    else
      printf("%lld\n", (long long)n);
  } else if (!mongoc_collection_drop_with_opts(c, NULL, &error)) {
    code = fail(&error);
  }
  mongoc_collection_destroy(c);
  return code;
}

/* Every document of every collection, as the driver gives them. */
static int scan(mongoc_database_t *db) {
  bson_error_t error = {0};
  bson_t all = BSON_INITIALIZER;
  const bson_t *doc;
  long long documents = 0, bytes = 0;
  char **names = mongoc_database_get_collection_names_with_opts(db, NULL, &error);
  bool ok = names != NULL;
  for (size_t i = 0; ok && names[i]; i++) {
    mongoc_collection_t *c = mongoc_database_get_collection(db, names[i]);
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, &all, NULL, NULL);
    for (; mongoc_cursor_next(cursor, &doc); documents++) bytes += doc->len;
    ok = !mongoc_cursor_error(cursor, &error);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
  }
  bson_strfreev(names);
  if (!ok) return fail(&error);
  printf("%lld documents, %lld bytes\n", documents, bytes);
  return 0;
}

int main(int argc, char **argv) {
  bson_error_t error = {0};
  const char *uri_text = getenv("MIG_URI");
  int code = 2;
  if (argc < 3 || !uri_text) {
    fprintf(stderr, "usage: MIG_URI=... mig-peek digest|count|drop|scan DB [COLLECTION...]\n");
    return 2;
  }
  mongoc_init();
  mongoc_uri_t *uri = mongoc_uri_new_with_error(uri_text, &error);
  mongoc_client_t *client = uri ? mongoc_client_new_from_uri(uri) : NULL;
  mongoc_database_t *db = client ? mongoc_client_get_database(client, argv[2]) : NULL;
  if (!db)
    code = fail(&error);
  else if (strcmp(argv[1], "digest") == 0)
    code = digest(db, argc - 3, argv + 3);
  else if (strcmp(argv[1], "scan") == 0)
    code = scan(db);
  else if (argc == 4)
    code = count_or_drop(db, argv[1], argv[3]);
  if (db) mongoc_database_destroy(db);
  if (client) mongoc_client_destroy(client);
  if (uri) mongoc_uri_destroy(uri);
  mongoc_cleanup();
  return code;
}

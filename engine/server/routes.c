/* Every path there is; openapi.json describes the same, which tests/unit/test_server.c compares. */
#include "server/api.h"

static const char *const history_query[] = {"status", "direction", "migration", "by", "since", "limit", "page", NULL};
static const char *const page_query[] = {"limit", "page", NULL};

static const mig_arg nothing[] = {{0}};

static const mig_arg up_body[] = {
    {"to", MIG_ARG_STRING, false, "up to and including this name or version"},
    {"only", MIG_ARG_STRING, false, "just this one"},
    {"steps", MIG_ARG_INT, false, "at most so many, from 1"},
    {"continueOnError", MIG_ARG_BOOL, false, "after a clean failure go on with the next one"},
    {"dryRun", MIG_ARG_BOOL, false, "plan and check only"},
    {0}};

static const mig_arg down_body[] = {{"only", MIG_ARG_STRING, false, "just this one"},
                                    {"to", MIG_ARG_STRING, false, "everything applied after this name or version"},
                                    {"steps", MIG_ARG_INT, false, "so many, newest first; from 1"},
                                    {"batch", MIG_ARG_BOOL, false, "all that the newest up applied"},
                                    {"all", MIG_ARG_BOOL, false, "all of them"},
                                    {"dryRun", MIG_ARG_BOOL, false, "plan and check only"},
                                    {0}};

static const mig_arg create_body[] = {{"name", MIG_ARG_STRING, true, "what it does: letters, digits, - and _"},
                                      {"template", MIG_ARG_STRING, false, "what the file starts from"},
                                      {"content", MIG_ARG_STRING, false, "the text of the file"},
                                      {0}};

static const mig_arg release_body[] = {{"confirm", MIG_ARG_STRING, true, "lockedBy, as lock/status shows it"}, {0}};

static const mig_arg restore_body[] = {
    {"confirm", MIG_ARG_STRING, false, "the id of the snapshot"},
    {"only", MIG_ARG_COLLECTIONS, false, "just these collections"},
    {"strategy", MIG_ARG_STRING, false, "delta or swap"},
    {"noSafetySnapshot", MIG_ARG_BOOL, false, "do not copy the present state before"},
    {"dryRun", MIG_ARG_BOOL, false, "compare and count only"},
    {0}};

const mig_route mig_routes[] = {
    {"GET", "/", MIG_SCOPE_NONE, mig_api_asset, NULL, NULL},
    {"GET", "/app.js", MIG_SCOPE_NONE, mig_api_asset, NULL, NULL},
    {"GET", "/app.css", MIG_SCOPE_NONE, mig_api_asset, NULL, NULL},
    {"GET", "/icon.svg", MIG_SCOPE_NONE, mig_api_asset, NULL, NULL},
    {"GET", "/openapi.json", MIG_SCOPE_NONE, mig_api_asset, NULL, NULL},
    {"GET", "/health", MIG_SCOPE_NONE, mig_api_health, NULL, NULL},
    {"GET", "/metrics", MIG_SCOPE_READ, mig_api_metrics, NULL, NULL},
    {"GET", "/api/session", MIG_SCOPE_READ, mig_api_session, NULL, NULL},
    {"GET", "/api/migrations/status", MIG_SCOPE_READ, mig_api_status, NULL, NULL},
    {"GET", "/api/migrations/history", MIG_SCOPE_READ, mig_api_history, history_query, NULL},
    {"POST", "/api/migrations", MIG_SCOPE_WRITE, mig_api_create, NULL, create_body},
    {"POST", "/api/migrations/up", MIG_SCOPE_WRITE, mig_api_up, NULL, up_body},
    {"POST", "/api/migrations/down", MIG_SCOPE_WRITE, mig_api_down, NULL, down_body},
    {"GET", "/api/migrations/lock/status", MIG_SCOPE_READ, mig_api_lock, NULL, NULL},
    {"POST", "/api/migrations/lock/release", MIG_SCOPE_WRITE, mig_api_release, NULL, release_body},
    {"GET", "/api/snapshots", MIG_SCOPE_READ, mig_api_snapshots, page_query, NULL},
    {"POST", "/api/snapshots/{id}/verify", MIG_SCOPE_WRITE, mig_api_verify, NULL, nothing},
    {"POST", "/api/snapshots/{id}/restore", MIG_SCOPE_WRITE, mig_api_restore, NULL, restore_body},
    {"GET", "/api/runs", MIG_SCOPE_READ, mig_api_runs, NULL, NULL},
    {"GET", "/api/runs/{id}", MIG_SCOPE_READ, mig_api_run, NULL, NULL},
    {0},
};

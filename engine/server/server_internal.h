/*
 * server_internal.h - what the files of the server share; only http.c, gate.c and server.c know libmicrohttpd
 */
#ifndef MIG_SERVER_INTERNAL_H
#define MIG_SERVER_INTERNAL_H

#include <pthread.h>

#include "server/address.h"
#include "server/http.h"
#include "server/jobs.h"
#include "server/limits.h"
#include "server/readers.h"
#include "server/server.h"

#define MIG_BODY_MAX    ((size_t)1 << 20) /* of a request */
#define MIG_DRAIN_MAX   ((size_t)8 << 20) /* read and thrown away, so that the client sees why it is refused */
#define MIG_TEXT_MAX    500               /* characters of a parameter or argument */
#define MIG_REQUEST_MS  30000             /* to send a request, idle time before it included */
#define MIG_ANSWER_MS   120000            /* to be answered and to read the answer */
#define MIG_IDLE_S      15
#define MIG_CONNECTIONS 64
#define MIG_ONE_CLIENT  32 /* connections */

struct mig_server {
  const mig_server_settings *settings;
  mig_settings engine; /* with an observer that may be called from any thread */
  mig_tokens *tokens;  /* NULL: everybody may do everything */
  mig_limits *limits;
  mig_readers *readers;
  mig_jobs *jobs;
  mig_address address;
  pthread_mutex_t say_mutex;
  char trouble[300]; /* what libmicrohttpd said last */
};

extern const mig_route mig_routes[]; /* ends with a row without a method */

/* One file of the dashboard, or the API's description; built in (cmake/MigAssets.cmake). */
typedef struct mig_asset {
  const char *path, *type, *etag;
  const unsigned char *data;
  size_t size;
} mig_asset;
extern const mig_asset mig_assets[]; /* ends with a row without a path */

#endif

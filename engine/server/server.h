/*
 * server.h - `mig serve`: the REST API, the dashboard, /health and /metrics
 *
 *     mig_serve(&(mig_server_settings){.engine = &settings, .listen = "127.0.0.1:8737", ...}, err)
 *
 * Runs until *settings.engine->stop becomes non-zero; then work that goes on is finished or undone as after a signal,
 * waiting work is cancelled, and it returns. Work that changes data is done by one thread with an engine of its own.
 * Errors: MIG_E_USAGE for settings that cannot be or would be unsafe: outside loopback both tokens and TLS are
 * required. A database that is away is no error: /health tells. False after a stop only when the interrupted work could
 * not be put in order (MIG_E_NOT_RESTORED, MIG_E_UNFINISHED). Trust: whatever a client sends. What it may send is
 * limited in size, rate, time and number of connections. Secrets: tokens are kept as SHA-256; neither they nor the
 * connection string are logged or sent.
 */
#ifndef MIG_SERVER_SERVER_H
#define MIG_SERVER_SERVER_H

#include "mig.h"

#define MIG_SERVER_DEFAULT_LISTEN "127.0.0.1:8737"

typedef struct mig_server_settings {
  const mig_settings *engine; /* borrowed until the end, like all strings here; its observer hears of everything */
  const char *listen;         /* HOST:PORT, [HOST]:PORT; port 0: a free one; NULL: the default */
  const char *tokens;         /* file, see tokens.h; NULL: none */
  const char *tls_cert, *tls_key;
  int64_t requests_per_second; /* from one address; 0: 50 */
  void (*listening)(void *arg, const char *url);
  void *arg;
} mig_server_settings;

bool mig_serve(const mig_server_settings *settings, mig_error *err);

#endif

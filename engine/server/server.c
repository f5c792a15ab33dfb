#include "server/server.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/observer.h"
#include "run/engine.h"
#include "server/httpd.h"
#include "server/server_internal.h"

#define MOST_PEM ((size_t)1 << 20)

/* ---- the settings ---- */

static bool check_exposure(const mig_server *s, mig_error *err) {
  const mig_server_settings *o = s->settings;
  if (!o->tls_cert != !o->tls_key) return mig_fail(err, MIG_E_USAGE, "--tls-cert and --tls-key go together");
  if (s->address.loopback || (o->tokens && o->tls_cert)) return true;
  mig_fail(err, MIG_E_USAGE, "refused to listen on %s without %s", s->address.host,
           o->tokens     ? "TLS"
           : o->tls_cert ? "tokens"
                         : "tokens and TLS");
  mig_why(err, "others than this machine can reach it there, and who reaches it may change the database");
  return mig_hint(err, "give --tokens FILE, --tls-cert FILE and --tls-key FILE, or listen on 127.0.0.1");
}

static bool read_pem(const char *path, bool secret, mig_buf *out, mig_error *err) {
  *out = MIG_BUF(MOST_PEM);
  if (!path) return true;
  if (secret) return mig_fs_read_secret(path, MOST_PEM, out, err);
  if (mig_fs_read(path, MOST_PEM, out, err)) return true;
  if (err && err->code != MIG_E_NO_MEMORY) err->code = MIG_E_USAGE;
  return false;
}

/* ---- what is said, from many threads ---- */

static void locked_message(void *arg, mig_level level, const char *text) {
  mig_server *s = arg;
  pthread_mutex_lock(&s->say_mutex);
  mig_say(&s->settings->engine->observer, level, "%s", text);
  pthread_mutex_unlock(&s->say_mutex);
}

static void __attribute__((format(printf, 2, 0))) library_says(void *arg, const char *fmt, va_list ap) {
  mig_server *s = arg;
  char text[sizeof s->trouble];
  vsnprintf(text, sizeof text, fmt, ap);
  text[strcspn(text, "\n")] = 0;
  pthread_mutex_lock(&s->say_mutex);
  memcpy(s->trouble, text, sizeof text);
  pthread_mutex_unlock(&s->say_mutex);
  locked_message(s, MIG_DEBUG, text);
}

/* ---- the daemon ---- */

static bool start_failed(mig_server *s, bool tls, mig_error *err) {
  mig_fail(err, MIG_E_USAGE, "cannot serve on %s",
           s->settings->listen ? s->settings->listen : MIG_SERVER_DEFAULT_LISTEN);
  mig_why(err, "%s", s->trouble[0] ? s->trouble : "no reason is known");
  return mig_hint(err, "is the port taken%s?", tls ? ", and do certificate and key fit together" : "");
}

static bool start_daemon(mig_server *s, struct MHD_Daemon **out, mig_error *err) {
  const mig_server_settings *o = s->settings;
  mig_buf cert = {0}, key = {0};
  const bool tls = o->tls_cert != NULL;
  unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC |
                   MHD_USE_ERROR_LOG | (s->address.v6 ? MHD_USE_IPv6 : 0) | (tls ? MHD_USE_TLS : 0);
  *out = NULL;
  if (tls && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
    return mig_fail(err, MIG_E_UNSUPPORTED, "the libmicrohttpd of this machine has no TLS");
  bool ok = read_pem(o->tls_cert, false, &cert, err) && read_pem(o->tls_key, true, &key, err);
  struct MHD_OptionItem more[] = {
      {MHD_OPTION_HTTPS_MEM_CERT, 0, cert.data},
      {MHD_OPTION_HTTPS_MEM_KEY, 0, key.data},
      {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
      {MHD_OPTION_END, 0, NULL}};
  if (ok)
    *out = MHD_start_daemon(flags, 0, NULL, NULL, mig_httpd_access, s, MHD_OPTION_EXTERNAL_LOGGER, library_says, s,
                            MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&s->address.socket,
                            MHD_OPTION_NOTIFY_COMPLETED, mig_httpd_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
                            mig_httpd_connection, s, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MIG_CONNECTIONS,
                            MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)MIG_ONE_CLIENT, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)MIG_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(32 << 10),
                            MHD_OPTION_ARRAY, tls ? more : &more[3], MHD_OPTION_END);
  mig_fs_wipe(&key);
  mig_buf_free(&cert);
  return *out || (ok && start_failed(s, tls, err));
}

static void announce(const mig_server *s, struct MHD_Daemon *daemon) {
  const union MHD_DaemonInfo *i = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
  const char *open = strchr(s->address.host, ':') ? "[" : "", *close = *open ? "]" : "";
  char url[200];
  snprintf(url, sizeof url, "%s://%s%s%s:%u", s->settings->tls_cert ? "https" : "http", open, s->address.host, close,
           i ? i->port : 0);
  if (s->settings->listening) s->settings->listening(s->settings->arg, url);
}

/* ---- the whole ---- */

/* Wrong settings are told at once; a database that is away may come. */
static bool first_look(mig_server *s, mig_error *err) {
  mig_error away = {0};
  if (mig_readers_healthy(s->readers, &away)) return true;
  if (away.code != MIG_E_NETWORK && !mig_db_passing(&away)) {
    if (err) *err = away;
    return false;
  }
  mig_say(&s->engine.observer, MIG_WARNING, "%s: %s; serving all the same", away.what, away.why);
  return true;
}

static bool prepare(mig_server *s, mig_error *err) {
  const mig_server_settings *o = s->settings;
  const char *listen = o->listen ? o->listen : MIG_SERVER_DEFAULT_LISTEN;
  s->engine = *o->engine;
  s->engine.observer = (mig_observer){.arg = s, .message = locked_message};
  s->limits = mig_limits_new(o->requests_per_second > 0 ? (double)o->requests_per_second : 50);
  if (!s->limits) return mig_no_memory(err, "server");
  return mig_address_parse(listen, &s->address, err) && check_exposure(s, err) &&
         (!o->tokens || mig_tokens_load(o->tokens, &s->tokens, err)) && mig_readers_new(&s->engine, &s->readers, err) &&
         first_look(s, err) && mig_jobs_new(&s->engine, &s->jobs, err);
}

static void wait_for_stop(mig_server *s) {
  while (!mig_stop_asked(&s->engine)) {
    mig_sleep_ms(100);
    mig_limits_sweep(s->limits);
  }
}

bool mig_serve(const mig_server_settings *settings, mig_error *err) {
  struct MHD_Daemon *daemon = NULL;
  mig_server *s = mig_alloc(sizeof *s);
  if (!s) return mig_no_memory(err, "server");
  s->settings = settings;
  pthread_mutex_init(&s->say_mutex, NULL);
  bool ok = prepare(s, err);
  ok = ok && start_daemon(s, &daemon, err);
  if (ok) {
    announce(s, daemon);
    wait_for_stop(s);
  }
  /* while the work in hand is put in order, its state can still be asked for; new work is refused */
  ok = mig_jobs_stop(s->jobs, ok ? err : NULL) && ok;
  if (daemon) MHD_stop_daemon(daemon);
  mig_jobs_free(s->jobs);
  mig_readers_free(s->readers);
  mig_limits_free(s->limits);
  mig_tokens_free(s->tokens);
  pthread_mutex_destroy(&s->say_mutex);
  mig_free(s);
  return ok;
}

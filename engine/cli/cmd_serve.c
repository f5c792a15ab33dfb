/* serve: the REST API and the dashboard, until a signal. */
#include "cli/commands.h"

#ifdef MIG_HAVE_SERVER
#include "server/server.h"

static void listening(void *arg, const char *url) {
  mig_cli *cli = arg;
  bson_t *line = BCON_NEW("listening", BCON_UTF8(url));
  cli_json(cli, line);
  bson_destroy(line);
  cli_print(cli, "serving on %s\n", url);
}

bool cmd_serve(mig_cli *cli, mig_error *err) {
  mig_settings engine;
  mig_server_settings s = {.engine = &engine,
                           .listen = cli->opt[OPT_LISTEN],
                           .tokens = cli->opt[OPT_TOKENS],
                           .tls_cert = cli->opt[OPT_TLS_CERT],
                           .tls_key = cli->opt[OPT_TLS_KEY],
                           .listening = listening,
                           .arg = cli};
  if (!mig_cli_nobody_there(cli, err) || !mig_cli_settings(cli, &engine, err) ||
      !mig_cli_int(cli, OPT_RATE_LIMIT, 50, &s.requests_per_second, err))
    return false;
  mig_cli_catch_signals();
  bool ok = mig_serve(&s, err);
  if (ok) cli_note(cli, "stopped\n");
  return ok;
}
#else
bool cmd_serve(mig_cli *cli, mig_error *err) {
  (void)cli;
  mig_fail(err, MIG_E_UNSUPPORTED, "this mig was built without its server");
  mig_why(err, "libmicrohttpd was not found when it was built, or MIG_SERVER was OFF");
  return mig_hint(err, "install libmicrohttpd-dev and build again; every other command works without it");
}
#endif

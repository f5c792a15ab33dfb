/* --metrics-file: the Prometheus textfile, written as one piece after a command. */
#include "run/metrics.h"

#include "cli/cli.h"

void mig_cli_metrics(mig_cli *cli, mig_engine *e) {
  mig_buf text;
  mig_error err = {0};
  if (!cli->metrics_file) return;
  bool ok = e && mig_metrics_text(e, &text, &err);
  if (!e) {
    ok = mig_metrics_down(&text, &err);
  } else if (!ok && err.network) {
    mig_buf_free(&text);
    ok = mig_metrics_down(&text, &err);
  }
  /* readable by the collector, which runs as another user */
  ok = ok && mig_fs_write_atomic(cli->metrics_file, text.data, text.size, 0644, &err);
  if (!ok) cli_note(cli, "warning: the metrics could not be written: %s: %s\n", err.what, err.why);
  mig_buf_free(&text);
}

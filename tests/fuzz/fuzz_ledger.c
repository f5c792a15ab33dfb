/* Documents of migrationlogs and migrationlocks, and what else a server tells about collections and indexes. */
#include "backup/spec.h"
#include "backup/ttl.h"
#include "fuzz.h"
#include "run/lease.h"
#include "run/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bson_t doc, options;
  mig_entry *entry = NULL;
  mig_lease_state lease;
  mig_error err = {0};
  if (!bson_init_static(&doc, data, size)) return 0; /* the driver would not give it to us */
  if (!mig_entry_read(&doc, &entry, &err) && !err.what[0]) abort();
  mig_entry_free(entry);
  mig_lease_state_read(&doc, 1795245300000, &lease);
  const bool valid = mig_bson_valid(data, size);
  mig_options_of(&doc, &options);
  mig_options_validator_same(&doc, &options);
  mig_options_fixed_same(&doc, &options);
  mig_options_images_same(&doc, &options);
  mig_ttl_expired(&doc, &doc, 1795245300000);
  if (valid) mig_spec_same(&doc, &doc);
  char *json = valid ? mig_bson_json(&doc) : NULL;
  mig_free(json);
  return 0;
}

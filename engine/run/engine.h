/*
 * engine.h - what every run has at hand: connection, capabilities, migrations, store, lease
 *
 *     mig_open --> [mig_engine_folder, mig_engine_store] --> mig_engine_lock ... mig_engine_unlock --> mig_close
 *
 * Only between lock and unlock may anything be written. The work handed to steps, guards, snapshots and restores is
 * engine->work: its checkpoint fails when the lease is lost or a signal came.
 */
#ifndef MIG_RUN_ENGINE_H
#define MIG_RUN_ENGINE_H

#include "backup/store.h"
#include "migrations/migration.h"
#include "migrations/module/services.h"
#include "run/lease.h"
#include "run/ledger.h"
#include "run/watch.h"

struct mig_engine {
  mig_settings settings; /* strings are our copies */
  mig_db *db;
  mig_caps caps;
  mig_store *store;
  mig_key *key;           /* for snapshots, once it was read; NULL: they are in the clear */
  mig_sign_key *sign_key; /* the same; NULL: they are not signed */
  mig_folder *folder;
  mig_lease *lease;
  mig_work work;
  mig_watch watch;                   /* between the work and the caller's observer */
  mig_services services;             /* of work, for steps and modules */
  const struct mig_attempt *attempt; /* whose steps run; NULL: none */
  bson_t *metadata;                  /* settings.metadata as a document */
  bool undoing;                      /* while data is put back a (first) signal does not stop us */
};

bool mig_engine_folder(mig_engine *e, mig_error *err);                   /* loads the migrations once */
void mig_engine_forget_folder(mig_engine *e);                            /* the next look reads the files again */
bool mig_engine_store(mig_engine *e, mig_error *err);                    /* opens the store, makes the folder */
bool mig_engine_lock(mig_engine *e, const char *reason, mig_error *err); /* lease, capabilities, ledger */
void mig_engine_unlock(mig_engine *e);
/* The file's metadata (m may be NULL) with that of the settings on top; for bson_destroy. */
bson_t *mig_engine_metadata(const mig_engine *e, const mig_migration *m);
void mig_engine_services(mig_engine *e, mig_services *out); /* services.c */
/* Reads the keys that the settings name, each once. Whatever will write or read the documents of a snapshot begins with
 * it: before the lease, so that a key that is not there is found out while nothing has changed. */
bool mig_engine_keys(mig_engine *e, mig_error *err);
bool mig_engine_key(mig_engine *e, mig_error *err);      /* just that of encryption */
bool mig_engine_sign_key(mig_engine *e, mig_error *err); /* just that of signatures */
bool mig_settings_key(const mig_settings *s, mig_key **out,
                      mig_error *err);                                      /* the same without an engine; NULL: none */
bool mig_engine_use_key(mig_engine *e, const mig_key *key, mig_error *err); /* instead; before the store is opened */
const mig_observer *mig_engine_observer(const mig_engine *e);
/* MIG_E_UNFINISHED when the ledger, or (restores) the journal of a restore by hand, shows an interrupted run. */
bool mig_engine_refuse_unfinished(mig_engine *e, bool restores, mig_error *err);
/* After a failure of what settles such a run first: *err becomes MIG_E_UNFINISHED, with the failure as its cause, while
 * one still waits. True: the server says that none does, and the failure left none behind. */
bool mig_engine_tell_unfinished(mig_engine *e, bool known, mig_error *err);
/* *settings->stop, which a signal may set while any thread looks. */
bool mig_stop_asked(const mig_settings *settings);

#endif

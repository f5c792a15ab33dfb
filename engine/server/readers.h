/*
 * readers.h - engines for looking: a few connections that requests share, and whether the database answers
 *
 *     mig_readers_take(r, &e, err)  -->  one request's work  -->  mig_readers_give(r, e, &error_of_the_work)
 *
 * take() fails at once while the database is away (asked at most once a second, with short patience), and with
 * MIG_E_FAILED when all engines are busy for 5 s. An engine that had trouble with the network is closed on the way
 * back. Threads: all functions from any; what take() gave belongs to one thread until it is given back.
 */
#ifndef MIG_SERVER_READERS_H
#define MIG_SERVER_READERS_H

#include "run/engine.h"

typedef struct mig_readers mig_readers;

bool mig_readers_new(const mig_settings *settings, mig_readers **out, mig_error *err); /* settings: borrowed */
void mig_readers_free(mig_readers *r);
bool mig_readers_take(mig_readers *r, mig_engine **out, mig_error *err);
void mig_readers_give(mig_readers *r, mig_engine *e, const mig_error *err);
/* Whether the database answers, at most a second old. */
bool mig_readers_healthy(mig_readers *r, mig_error *err);
/* "127.0.0.1:27017/app" and "app"; empty until the database has answered once. */
void mig_readers_label(mig_readers *r, char label[static 160], char database[static 70]);

#endif

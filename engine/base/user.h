/*
 * user.h - the user this process runs as
 *
 *     mig_user_look(&user)  -->  user.name, user.home
 *
 * Either is "" when the system does not know it or it does not fit.
 * Threads: any, at the same time; getpwuid() has one buffer for all.
 */
#ifndef MIG_BASE_USER_H
#define MIG_BASE_USER_H

typedef struct mig_user {
  char name[256];
  char home[4096];
} mig_user;

void mig_user_look(mig_user *out);

#endif

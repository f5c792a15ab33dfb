/*
 * limits.h - what one client may take: requests a second, and time on a connection
 *
 *     mig_limits_allow(l, from, 1)                     before each request
 *     slot = mig_limits_open(l, fd) --> mig_limits_extend(slot) ... --> mig_limits_close(slot);   mig_limits_sweep(l)
 *
 * A client that sends or reads a byte now and then never seems idle: sweep() shuts the socket of every connection that
 * has had its time, which a request being answered extends. Threads: all functions from any.
 */
#ifndef MIG_SERVER_LIMITS_H
#define MIG_SERVER_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

typedef struct mig_limits mig_limits;
typedef struct mig_slot mig_slot;

mig_limits *mig_limits_new(double per_second); /* NULL: no memory */
void mig_limits_free(mig_limits *l);

/* cost: in requests. False: too many; the address must wait. */
bool mig_limits_allow(mig_limits *l, const struct sockaddr *from, double cost);

mig_slot *mig_limits_open(mig_limits *l, int fd, int64_t ms); /* NULL: all taken */
void mig_limits_extend(mig_limits *l, mig_slot *slot, int64_t ms);
void mig_limits_close(mig_limits *l, mig_slot *slot); /* before the socket is closed */
void mig_limits_sweep(mig_limits *l);

#endif

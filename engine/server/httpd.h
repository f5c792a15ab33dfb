/*
 * httpd.h - the callbacks of http.c, for the daemon that server.c starts
 */
#ifndef MIG_SERVER_HTTPD_H
#define MIG_SERVER_HTTPD_H

#include <microhttpd.h>

enum MHD_Result mig_httpd_access(void *arg, struct MHD_Connection *c, const char *path, const char *method,
                                 const char *version, const char *data, size_t *size, void **state);
void mig_httpd_completed(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why);
void mig_httpd_connection(void *arg, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode what);

#endif

/*
 * reply.h - what S3 answers in XML, taken apart by expat; all of it untrusted
 *
 *     mig_s3_xml(&answer.body, fn, arg, err)     fn is called at the end of each element, children before parents
 *
 * A document type declaration is refused (no entities of their own), and so is depth over 8; text of one element is cut
 * at 2 KiB and such an element is refused. Errors: MIG_E_STORE without a place, which the caller puts in front.
 */
#ifndef MIG_BACKUP_S3_REPLY_H
#define MIG_BACKUP_S3_REPLY_H

#include "base/mem.h"

/* depth 0 is the root; text is what stood in it but for its children. False stops, with *err filled. */
typedef bool (*mig_s3_element_fn)(void *arg, unsigned depth, const char *name, const char *text, mig_error *err);

bool mig_s3_xml(const mig_buf *xml, mig_s3_element_fn fn, void *arg, mig_error *err);
/* The text of the first element of that name below the root of that name ("" : any); false when there is none, or it
 * does not fit. */
bool mig_s3_xml_text(const mig_buf *xml, const char *root, const char *name, char *text, size_t room);
/* <Error><Code>, letters and digits only; "" when there is none. */
void mig_s3_error_code(const mig_buf *xml, char code[static 64]);

bool mig_s3_number(const char *text, uint64_t *out);  /* digits and nothing else */
bool mig_s3_time(const char *text, int64_t *unix_ms); /* 2026-11-21T07:15:00.000Z */
bool mig_s3_decode(char *text);                       /* percent-encoding, in place */

#endif

#include "backup/s3/reply.h"

#include <ctype.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEPTH_MAX 8u
#define TEXT_MAX  2048u

typedef struct parsing {
  XML_Parser parser;
  mig_s3_element_fn fn;
  void *arg;
  mig_error *err;
  bool stopped;
  unsigned depth;                     /* elements that are open */
  char text[DEPTH_MAX][TEXT_MAX + 1]; /* of each open one */
  size_t size[DEPTH_MAX];
} parsing;

static void stop(parsing *p, const char *why) {
  if (!p->stopped && why) {
    mig_fail(p->err, MIG_E_STORE, "the S3 server's answer cannot be read");
    mig_why(p->err, "%s", why);
  }
  p->stopped = true;
  XML_StopParser(p->parser, XML_FALSE);
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system, const XML_Char *public_id,
                               int internal) {
  (void)name;
  (void)system;
  (void)public_id;
  (void)internal;
  stop(arg, "it has a document type declaration");
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes) {
  parsing *p = arg;
  (void)name;
  (void)attributes;
  if (p->stopped) return;
  if (p->depth == DEPTH_MAX) {
    stop(p, "its elements are nested too deeply");
    return;
  }
  p->size[p->depth++] = 0;
}

static void XMLCALL on_text(void *arg, const XML_Char *text, int size) {
  parsing *p = arg;
  if (p->stopped || p->depth == 0 || size <= 0) return;
  size_t *at = &p->size[p->depth - 1];
  if (*at + (size_t)size > TEXT_MAX) {
    stop(p, "an element holds too much text");
    return;
  }
  memcpy(p->text[p->depth - 1] + *at, text, (size_t)size);
  *at += (size_t)size;
}

static void XMLCALL on_end(void *arg, const XML_Char *name) {
  parsing *p = arg;
  if (p->stopped) return;
  p->depth--;
  p->text[p->depth][p->size[p->depth]] = 0;
  if (!p->fn(p->arg, p->depth, name, p->text[p->depth], p->err)) stop(p, NULL);
}

bool mig_s3_xml(const mig_buf *xml, mig_s3_element_fn fn, void *arg, mig_error *err) {
  parsing *p = mig_alloc(sizeof *p);
  if (!p || !(p->parser = XML_ParserCreate(NULL))) {
    mig_free(p);
    return mig_no_memory(err, "S3");
  }
  p->fn = fn;
  p->arg = arg;
  p->err = err;
  XML_SetUserData(p->parser, p);
  XML_SetElementHandler(p->parser, on_start, on_end);
  XML_SetCharacterDataHandler(p->parser, on_text);
  XML_SetStartDoctypeDeclHandler(p->parser, on_doctype);
  const bool parsed =
      xml->size <= INT32_MAX && XML_Parse(p->parser, mig_buf_text(xml), (int)xml->size, 1) == XML_STATUS_OK;
  if (!parsed && !p->stopped) stop(p, XML_ErrorString(XML_GetErrorCode(p->parser)));
  const bool ok = parsed && !p->stopped;
  XML_ParserFree(p->parser);
  mig_free(p);
  return ok;
}

typedef struct looking {
  const char *root, *name;
  char *text;
  size_t room;
  bool found, right_root;
} looking;

static bool look(void *arg, unsigned depth, const char *name, const char *text, mig_error *err) {
  looking *l = arg;
  (void)err;
  if (depth == 0) l->right_root = !*l->root || strcmp(name, l->root) == 0;
  if (depth != 1 || l->found || strcmp(name, l->name) != 0 || strlen(text) >= l->room) return true;
  snprintf(l->text, l->room, "%s", text);
  return l->found = true;
}

bool mig_s3_xml_text(const mig_buf *xml, const char *root, const char *name, char *text, size_t room) {
  looking l = {.root = root, .name = name, .text = text, .room = room};
  if (mig_s3_xml(xml, look, &l, NULL) && l.found && l.right_root) return true;
  text[0] = 0;
  return false;
}

void mig_s3_error_code(const mig_buf *xml, char code[static 64]) {
  mig_s3_xml_text(xml, "Error", "Code", code, 64);
  for (char *p = code; *p; p++)
    if (!isalnum((unsigned char)*p)) *p = 0;
}

bool mig_s3_number(const char *text, uint64_t *out) {
  const size_t n = strlen(text);
  if (n == 0 || n > 18 || strspn(text, "0123456789") != n) return false;
  *out = strtoull(text, NULL, 10);
  return true;
}

bool mig_s3_time(const char *text, int64_t *unix_ms) {
  struct tm t = {0};
  int at = 0;
  if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec,
             &at) != 6)
    return false;
  if (text[at] == '.') at += 1 + (int)strspn(text + at + 1, "0123456789");
  if (strcmp(text + at, "Z") != 0) return false;
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  *unix_ms = (int64_t)timegm(&t) * 1000;
  return true;
}

bool mig_s3_decode(char *text) {
  char *to = text;
  for (const char *from = text; *from; from++) {
    char digits[3] = {0};
    if (*from == '%') {
      if (!isxdigit((unsigned char)from[1]) || !isxdigit((unsigned char)from[2])) return false;
      memcpy(digits, from + 1, 2);
      from += 2;
      if (!(*to++ = (char)strtol(digits, NULL, 16))) return false;
    } else {
      *to++ = *from == '+' ? ' ' : *from;
    }
  }
  *to = 0;
  return true;
}

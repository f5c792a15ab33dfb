#include "validators/size.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

static const struct unit {
  const char *name;
  uint64_t bytes;
} units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {"kB", 1000},
    {"MB", 1000000},
    {"GB", UINT64_C(1000000000)},
    {"TB", UINT64_C(1000000000000)},
};

/* "1.5 GiB": digits, up to three more behind the point, a unit. No strtod: it depends on the locale. */
static bool parse_size(const char *text, uint64_t *out) {
  uint64_t thousandths = 0;
  int behind = -1;
  if (!isdigit((unsigned char)*text)) return false;
  for (; isdigit((unsigned char)*text) || (*text == '.' && behind < 0); text++) {
    if (*text == '.' || behind >= 0) behind++;
    if (*text == '.') continue;
    if (behind > 3 || thousandths > (UINT64_MAX - 9) / 10) return false;
    thousandths = thousandths * 10 + (uint64_t)(*text - '0');
  }
  if (behind == 0) return false;
  for (int i = behind < 0 ? 0 : behind; i < 3; i++) {
    if (thousandths > UINT64_MAX / 10) return false;
    thousandths *= 10;
  }
  while (*text == ' ') text++;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (strcasecmp(text, units[i].name) != 0) continue;
    if (thousandths / 1000 > (UINT64_MAX >> 1) / units[i].bytes) return false;
    *out = thousandths / 1000 * units[i].bytes + thousandths % 1000 * units[i].bytes / 1000;
    return true;
  }
  return false;
}

bool mig_size_of(const bson_t *args, const char *name, uint64_t *out) {
  const char *text = NULL;
  int64_t n = 0;
  if (mig_bson_int(args, name, &n) && n >= 0) {
    *out = (uint64_t)n;
    return true;
  }
  return mig_bson_str(args, name, &text) && parse_size(text, out);
}

void mig_size_text(uint64_t bytes, char *text, size_t size) {
  static const char *const names[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int unit = 0;
  double n = (double)bytes;
  for (; n >= 1024 && unit < 5; unit++) n /= 1024;
  snprintf(text, size, "%.*f %s", unit ? 1 : 0, n, names[unit]);
}

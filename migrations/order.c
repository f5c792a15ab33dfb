#include "migrations/order.h"

#include <ctype.h>
#include <string.h>

#include "migrations/migration.h"

#define MAX_NAME 200 /* with the date, it becomes part of a snapshot's file name */

static bool digit(char c) {
  return c >= '0' && c <= '9';
}

/* Compares the runs of digits at *a and *b as numbers of any length, and moves both behind them. */
static int compare_numbers(const char **a, const char **b) {
  while (**a == '0' && digit((*a)[1])) (*a)++;
  while (**b == '0' && digit((*b)[1])) (*b)++;
  size_t na = 0, nb = 0;
  while (digit((*a)[na])) na++;
  while (digit((*b)[nb])) nb++;
  int order = na != nb ? (na < nb ? -1 : 1) : memcmp(*a, *b, na);
  *a += na;
  *b += nb;
  return order;
}

int mig_order_compare(const char *a, const char *b) {
  while (*a && *b) {
    int order;
    if (digit(*a) && digit(*b))
      order = compare_numbers(&a, &b);
    else
      order = (unsigned char)*a++ - (unsigned char)*b++;
    if (order) return order;
  }
  return (unsigned char)*a - (unsigned char)*b;
}

int mig_name_order(const char *a, const char *b) {
  int order = mig_order_compare(a, b);
  return order ? order : strcmp(a, b); /* "01_x" and "1_x" are two files: some order must be theirs */
}

static size_t count_digits(const char *p) {
  size_t n = 0;
  while (digit(p[n])) n++;
  return n;
}

static int number_at(const char *p) {
  return (p[0] - '0') * 10 + p[1] - '0';
}

/* Length of a YYYY-MM-DDTHH-MM-SS in front; 0 when there is none or it is no time. */
static size_t time_length(const char *name) {
  static const char form[] = "dddd-dd-ddTdd-dd-dd";
  for (size_t i = 0; form[i]; i++)
    if (form[i] == 'd' ? !digit(name[i]) : name[i] != form[i]) return 0;
  int month = number_at(name + 5), day = number_at(name + 8);
  bool ok = month >= 1 && month <= 12 && day >= 1 && day <= 31 && number_at(name + 11) <= 23 &&
            number_at(name + 14) <= 59 && number_at(name + 17) <= 60;
  return ok ? sizeof form - 1 : 0;
}

static bool looks_like_date(const char *name) {
  return count_digits(name) == 4 && name[4] == '-' && count_digits(name + 5) == 2 && name[7] == '-' &&
         count_digits(name + 8) >= 2;
}

static const char *check_words(const char *separator) {
  if (*separator != '_' && *separator != '-') return "behind the number comes \"_\" or \"-\"";
  if (!separator[1]) return "there is no name behind the number";
  for (const char *p = separator + 1; *p; p++)
    if (!isalnum((unsigned char)*p) && !strchr("_-.", *p))
      return "a name is of letters, digits, \"_\", \"-\" and \".\"";
  return NULL;
}

size_t mig_name_ending(const char *file) {
  static const char *const endings[] = {".json", ".c", ".so"};
  size_t size = strlen(file);
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    size_t n = strlen(endings[i]);
    if (size > n && strcmp(file + size - n, endings[i]) == 0) return n;
  }
  return 0;
}

bool mig_name_split(const char *path, char **order, char **name, mig_error *err) {
  const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path, *why = NULL;
  size_t ending = mig_name_ending(file), size = strlen(file) - ending, number = time_length(file);
  *order = *name = NULL;
  if (ending == 0) why = "it does not end in .json, .c or .so";
  if (!number) number = count_digits(file);
  bool ok = (*name = mig_strdup(file)) && (*order = mig_strdup(file));
  if (!ok) {
    mig_no_memory(err, "name");
    goto done;
  }
  (*name)[size] = 0;
  if (!why && number == 0) why = "it does not begin with a number or a time";
  if (!why && number < 19 && looks_like_date(file))
    why = "it begins with a date, but not with a date and time that exist";
  if (!why) why = check_words(*name + number);
  if (!why && size > MAX_NAME) why = "it is longer than 200 characters";
  if (!why)
    (*order)[number] = 0;
  else {
    ok = mig_fail(err, MIG_E_INPUT, "%s: this is not a migration's name", path);
    mig_why(err, "%s", why);
    mig_hint(err, "names are 0001_what-it-does.json or 2025-01-22T10-30-00_what-it-does.json; `mig create` makes one");
  }

done:
  if (!ok) {
    mig_free(*order);
    mig_free(*name);
    *order = *name = NULL;
  }
  return ok;
}

#include "backup/s3.h"

#include <string.h>

bool mig_s3_is_url(const char *place) {
  return place && strncmp(place, "s3://", 5) == 0;
}

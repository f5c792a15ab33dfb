#include "migrations/templates.h"

#include <stddef.h>
#include <string.h>

static const struct {
  const char *name, *text;
} templates[] = {
    {"add-field",
     "{\n"
     "  // what changes, and why\n"
     "  \"description\": \"Give every user notification preferences\",\n"
     "  \"up\": [\n"
     "    {\"addField\": {\"collection\": \"users\", \"field\": \"notify\", \"value\": {\"email\": true}}}\n"
     "  ],\n"
     "  \"down\": [\n"
     "    {\"removeField\": {\"collection\": \"users\", \"field\": \"notify\"}}\n"
     "  ],\n"
     "  \"verify\": [\n"
     "    {\"matches\": {\"collection\": \"users\", \"filter\": {\"notify\": {\"$exists\": false}}, \"expect\": "
     "\"none\"}}\n"
     "  ]\n"
     "}\n"},
    {"data-transform",
     "{\n"
     "  \"description\": \"Compute the total of every order\",\n"
     "  \"up\": [\n"
     "    {\"transform\": {\"collection\": \"orders\", \"filter\": {\"total\": {\"$exists\": false}},\n"
     "                   \"pipeline\": [{\"$set\": {\"total\": {\"$multiply\": [\"$price\", \"$quantity\"]}}}]}}\n"
     "  ],\n"
     "  \"down\": [\n"
     "    {\"removeField\": {\"collection\": \"orders\", \"field\": \"total\"}}\n"
     "  ]\n"
     "}\n"},
    {"schema-change", "{\n"
                      "  \"description\": \"Rename mail to email\",\n"
                      "  \"up\": [\n"
                      "    {\"renameField\": {\"collection\": \"users\", \"from\": \"mail\", \"to\": \"email\"}}\n"
                      "  ],\n"
                      "  \"down\": [\n"
                      "    {\"renameField\": {\"collection\": \"users\", \"from\": \"email\", \"to\": \"mail\"}}\n"
                      "  ]\n"
                      "}\n"},
    {"seed-data",
     "{\n"
     "  \"description\": \"The roles that every installation has\",\n"
     "  \"up\": [\n"
     "    {\"insert\": {\"collection\": \"roles\", \"key\": [\"name\"], \"documents\": [\n"
     "      {\"name\": \"admin\"},\n"
     "      {\"name\": \"reader\"}\n"
     "    ]}}\n"
     "  ],\n"
     "  \"down\": [\n"
     "    {\"delete\": {\"collection\": \"roles\", \"filter\": {\"name\": {\"$in\": [\"admin\", \"reader\"]}}}}\n"
     "  ]\n"
     "}\n"},
    {"index",
     "{\n"
     "  \"description\": \"Every e-mail address only once\",\n"
     "  \"up\": [\n"
     "    {\"createIndex\": {\"collection\": \"users\", \"key\": {\"email\": 1}, \"options\": {\"unique\": true}}}\n"
     "  ],\n"
     "  \"down\": [\n"
     "    {\"dropIndex\": {\"collection\": \"users\", \"name\": \"email_1\"}}\n"
     "  ]\n"
     "}\n"},
};

const char *mig_template(const char *name) {
  for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
    if (strcmp(templates[i].name, name) == 0) return templates[i].text;
  return NULL;
}

const char *mig_template_names(void) {
  return "add-field, data-transform, schema-change, seed-data, index";
}

const char *mig_template_workflow(void) {
  return "name: migrations\n"
         "on: [pull_request]\n"
         "jobs:\n"
         "  dry-run:\n"
         "    runs-on: ubuntu-latest\n"
         "    steps:\n"
         "      - uses: actions/checkout@v4\n"
         "      # mig must be on the PATH here: build it or take your package of it\n"
         "      - run: mig validate && mig up --dry-run\n"
         "        env:\n"
         "          MIG_URI: ${{ secrets.MIG_URI }}\n";
}

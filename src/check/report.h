/* Findings for people and for programs. */
#ifndef CHECK_REPORT_H
#define CHECK_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "check/finding.h"

/* A tick list. `terminal`: with colours and signs, and wrapped to `columns`; otherwise the words
 * ok, warn, FAIL and skip, one line a finding and one its remedy. */
void findings_text(const struct findings *list, bool terminal, unsigned columns, FILE *out);
/* One object: version, side ("container" or "network-node"), result, counts, findings. */
void findings_json(const struct findings *list, const char *side, FILE *out);

#endif

/* The part of a report (report.h) that comes first: what is broken (problems.h), a line each. */
#ifndef OBSERVE_REPORT_BROKEN_H
#define OBSERVE_REPORT_BROKEN_H

#include "observe/report_line.h"

/* Nothing where nothing is broken. */
void report_broken(struct report *r, const json_t *document);

#endif

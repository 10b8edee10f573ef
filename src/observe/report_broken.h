/* The part of a report (report.h) that comes first: what is broken, each with its cause as far as
 * it is known, and what to do about it. */
#ifndef OBSERVE_REPORT_BROKEN_H
#define OBSERVE_REPORT_BROKEN_H

#include "observe/report_line.h"

/* Nothing where nothing is broken. */
void report_broken(struct report *r, const json_t *document);

/* Adds what went wrong last with a server, without the address that the line begins with anyway. */
void report_last_end(struct report *r, const json_t *server, const char *before);

#endif

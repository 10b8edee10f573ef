/* The part of a report (report.h) that is about the network node's server. */
#ifndef OBSERVE_REPORT_SERVER_H
#define OBSERVE_REPORT_SERVER_H

#include "observe/report_line.h"

/* Nothing where the document is not a server's. */
void report_server(struct report *r, const json_t *document);

#endif

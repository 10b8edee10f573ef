/* The status document (document.h) for people: what is broken first, then one section a subject, in
 * lines of at most 80 columns where words allow it. Sections without content are left out. What is
 * missing in the document, or of another kind, counts as absent; strings are escaped once more,
 * because who made the document talks to the network, and a terminal obeys. */
#ifndef OBSERVE_REPORT_H
#define OBSERVE_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* `colour`: terminal sequences for what is broken and for headings. */
void report_write(FILE *out, const json_t *document, bool colour);

#endif

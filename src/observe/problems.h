/* What is broken, out of the status document (document.h): the lines of `mlgate status` that begin
 * with '!', and the member "problems" of the document. Each is an object:
 *
 *   subject  "server", "mlnode", "model", "container", "metrics"
 *   where    which one: an address, a model; not there where there is only one
 *   what     what is wrong, in words and numbers of ours alone: nothing that a peer or a
 *            configuration said, so that it can be public
 *   detail   what others said of it, printable
 *   remedy   what to do
 *
 * `where`, `detail` and `remedy` are not always there. */
#ifndef OBSERVE_PROBLEMS_H
#define OBSERVE_PROBLEMS_H

#include <jansson.h>

/* The worst first; an empty array where nothing is broken. The caller drops it. */
json_t *problems_list(const json_t *document);
/* Puts the list where readers of the document look for it. To be called when all else is there. */
void problems_add(json_t *document);

#endif

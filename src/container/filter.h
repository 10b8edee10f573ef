/* The filter of system calls (seccomp) of this process and its later threads. It cannot be taken
 * off again. */
#ifndef CONTAINER_FILTER_H
#define CONTAINER_FILTER_H

/* Only calls.h's calls are there from now on; to be called with one thread, and with no new
 * privileges set. A trapped one writes a line with its number and name to standard error and ends
 * the process with `status`. Returns how many different calls are allowed, or a negative errno:
 * nothing is filtered then. */
int filter_enter(int status);

#endif

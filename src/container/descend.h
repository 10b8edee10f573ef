/* Processes found by where they come from, in /proc. All scans are snapshots: who needs everybody
 * gone repeats them until nobody is left. */
#ifndef CONTAINER_DESCEND_H
#define CONTAINER_DESCEND_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether /proc can be read at all. */
bool descend_possible(void);
/* Sends `number` to every living process below `root`, however deep and whatever its session;
 * returns how many there were. 0 only asks. */
unsigned descend_signal(pid_t root, int number);
/* The same for the children of `parent` in whose environment (as they were executed with it) stands
 * `mark`, a whole "NAME=value". Reading that waits for processes that hang in the kernel. */
unsigned descend_signal_marked(pid_t parent, const char *mark, int number);

#endif

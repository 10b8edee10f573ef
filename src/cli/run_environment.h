/* The environment that `mlgate run` goes by. Rental platforms give variables to PID 1 only: who
 * starts us over SSH or from an onstart script does not have them. */
#ifndef CLI_RUN_ENVIRONMENT_H
#define CLI_RUN_ENVIRONMENT_H

#include <limits.h>
#include <stddef.h>

enum {
    /* Linux lets nobody start a program with more. */
    RUN_ENVIRONMENT_MAX = 2 * 1024 * 1024,
};

/* Adds to this process's environment what it lacks of PID 1's (`path`: /proc/1/environ), when a
 * required variable of the contract is missing here; what is set here stays. The token counts as
 * given when either of its two variables is. Returns how many were added; 0 also when the file
 * cannot be read, which leaves the missing ones to be reported as missing. */
size_t run_environment_borrow(const char *path);
/* The same for these variables (the list ends with NULL) and no other, whatever is missing. A name
 * that ends with '*' stands for all that begin so. */
size_t run_environment_borrow_only(const char *path, const char *const *names);
/* The first of `beginnings` (ends with NULL) with which a line "NAME=value" of that environment
 * begins; NULL: none, or it cannot be read. */
const char *run_environment_find(const char *path, const char *const *beginnings);

/* FRP_CONFIG_DIR as a running `mlgate run` has it, for the verbs that ask it from another session:
 * the variable of this process, else PID 1's, else the folder of the socket by which a container of
 * this network namespace answers `mlgate health` (a PID 1 that closed its memory shows its
 * environment to nobody in a container) and behind which root or this user listens, else the
 * default. Cut where it is longer than a path may
 * be. Returns out. */
char *run_environment_directory(char out[PATH_MAX]);

#endif

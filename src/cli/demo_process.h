/* A child process of the demo: this executable once more, with another verb. Its output, standard
 * and error, comes back through one pipe, line by line, and is kept in a file. The kernel ends the
 * child when its parent goes, however that happens. */
#ifndef CLI_DEMO_PROCESS_H
#define CLI_DEMO_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <uv.h>

enum {
    PROCESS_LINES_KEPT = 6, /* what a failure is explained with */
    PROCESS_LINE_MAX = 512, /* longer lines are cut, except in the file */
};

struct process;

struct process_spec {
    const char *name;        /* static; for people */
    const char *const *argv; /* ends with NULL; argv[0] is free to choose */
    char *const *envp;       /* the whole environment */
    const char *log_path;
};

/* Never called inside process_start. */
struct process_events {
    void (*line)(void *ctx, struct process *p, const char *line);
    /* It is gone and all it said has been delivered. */
    void (*ended)(void *ctx, struct process *p);
};

/* The strings of `spec` are needed during the call only, but for the name. NULL with the cause in
 * `why`. The loop must be on the main thread, whose end is what the child would notice. */
struct process *process_start(uv_loop_t *loop, const struct process_spec *spec,
                              const struct process_events *events, void *ctx, char *why,
                              size_t why_size);
const char *process_name(const struct process *p);
int process_pid(const struct process *p);
bool process_alive(const struct process *p);
/* Whether it ended by itself with status 0. */
bool process_ended_well(const struct process *p);
/* "ended with status 1", "was killed by signal 9 (Killed)", "is running". */
void process_fate(const struct process *p, char *out, size_t size);
/* Bytes of memory it has resident now; 0 when the kernel does not say. */
size_t process_resident(const struct process *p);
/* Does nothing once it is gone. */
void process_signal(struct process *p, int number);
/* The last lines it said, printable, under a heading; nothing when it said none. */
void process_print_lines(const struct process *p, FILE *out);
/* Closes what is open; the memory goes with the next turn of the loop. The child must be gone. NULL
 * is allowed. */
void process_free(struct process *p);

#endif

/* What keeps lines that others can cause again and again from flooding the log. A gate lets one
 * line of its kind through per second, after a quiet time a burst of them, and counts the others.
 * How many were held back is said by the next line that passes, or, when none comes, by a line of
 * its own two seconds later: the lines that were written and the numbers in them add up. */
#ifndef BASE_GATE_H
#define BASE_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"

/* All but `what` and `level` zero is a gate that is ready. */
struct log_gate {
    const char *what; /* the lines in words, for "7 more lines were held back: …". Static */
    enum log_level level;
    unsigned burst;   /* lines that may come at once after a quiet time; 0: one */
    uint64_t paid_us; /* up to where the lines so far have used up their seconds */
    uint64_t held;
    uint64_t due_us;  /* held > 0: when it is said */
    struct log *log;  /* held > 0: where it is said */
    struct list node; /* held > 0: on its set */
};

/* Gates that hold something back, in the order in which they say so. */
struct log_gates {
    struct list holding;
};

/* Room for what a line that passes says about those that did not. */
enum { LOG_HELD_MAX = 64 };

void log_gates_init(struct log_gates *set);
/* True: write the line now, with `more` at its end, which is "" or says how many were held back. */
bool log_gate(struct log_gates *set, struct log_gate *g, struct log *log, uint64_t now_us,
              char more[LOG_HELD_MAX]);
/* Says what has been held for long enough. Returns when it wants to be called again; UINT64_MAX:
 * nothing is held. */
uint64_t log_gates_tick(struct log_gates *set, uint64_t now_us);
/* Says at once what this one holds; before its memory goes. */
void log_gate_end(struct log_gate *g);
/* … and what all hold. */
void log_gates_end(struct log_gates *set);

#endif

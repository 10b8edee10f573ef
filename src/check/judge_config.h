/* The problems of a configuration as findings. Pure. */
#ifndef CHECK_JUDGE_CONFIG_H
#define CHECK_JUDGE_CONFIG_H

#include "check/finding.h"
#include "config/problem.h"

struct config_words {
    const char *fine; /* what can be said when there is no error */
    const char *help; /* where the settings are described */
    /* Settings of which findings of their own speak, whose warnings are left out; ends with NULL.
     * NULL: none. */
    const char *const *elsewhere;
};

/* One finding a problem, and one when there is no error. */
void judge_config(struct findings *list, const struct problems *problems,
                  const struct config_words *words);

#endif

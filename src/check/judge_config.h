/* The problems of a configuration as findings. Pure. */
#ifndef CHECK_JUDGE_CONFIG_H
#define CHECK_JUDGE_CONFIG_H

#include "check/finding.h"
#include "config/problem.h"

/* One finding a problem, and one when there is no error. `fine`: what can be said then; `help`:
 * where the settings are described. */
void judge_config(struct findings *list, const struct problems *problems, const char *fine,
                  const char *help);

#endif

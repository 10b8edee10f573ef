/* Whether `mlgate run` prepares the model, and how. */
#ifndef CLI_RUN_MODEL_H
#define CLI_RUN_MODEL_H

#include "base/log.h"
#include "config/env.h"
#include "container/child.h"
#include "container/model_beat.h"
#include "container/model_run.h"

/* Why nothing is fetched in advance, as one clause; NULL: it is to be. `node`: MLNode, or what
 * stands in for it, is started here. Pure. */
const char *run_model_why_not(const struct env_config *env, bool node);

/* Decides, and says so where nothing is done. A NULL main: nothing is, and *said tells why for the
 * status. `settings`, filled here, lives as long as the program. */
struct child_program run_model(struct model_settings *settings, struct env_config *env, bool node,
                               struct model_beat *said, struct log *log);

#endif

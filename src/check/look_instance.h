/* Asks the `mlgate run` that is here, beside which a check claims no port, what its server refused.
 */
#ifndef CHECK_LOOK_INSTANCE_H
#define CHECK_LOOK_INSTANCE_H

#include "check/judge_instance.h"

/* Fills in f->refused out of its status document; "" where nothing was refused, or nobody
 * answers. Waits two seconds at most. */
void look_refused(const char *config_dir, struct instance_facts *f);

/* Where health_ask found nobody: whether a `mlgate client` is here, as above, or what one that was
 * here left behind. */
void look_others(const char *config_dir, struct instance_facts *f);

#endif

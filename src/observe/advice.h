/* What to do about what a server says. Pure. */
#ifndef OBSERVE_ADVICE_H
#define OBSERVE_ADVICE_H

#include <stdbool.h>

/* About a port that was refused with `error`, by words that frps and mlgate share; NULL where they
 * tell nothing. `several`: FRP_SERVER has more than one entry. */
const char *advice_port(const char *error, bool several);

#endif

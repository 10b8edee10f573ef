/* What a running tunnel says about itself (observe/document.h): to operators on this machine
 * through a door, and to the gateway, which publishes a part of it. */
#ifndef CLI_ACCOUNT_H
#define CLI_ACCOUNT_H

#include "container/facts.h"
#include "gateway/wire.h"
#include "observe/door.h"
#include "tunnel/tunnel.h"

struct account_of {
    uv_loop_t *loop;
    const struct client_config *cfg;
    const struct tunnel *tunnel;
    struct wire *gateway; /* NULL: none */
    const struct facts
        *facts;            /* of PID 1, magic 0 until it has told any; NULL: there is no PID 1 */
    const char *client_id; /* NULL: none; the next one too */
    const char *node_id;
    const char *metrics_error; /* why their page could not be opened; "" or NULL: it could */
    const struct door *door;   /* NULL, or one that could not be opened: nobody asks */
};

struct account;

/* Everything in `of` must outlive it. */
struct account *account_new(const struct account_of *of);
/* Then account_free, after the loop ran dry. NULL is allowed for both. */
void account_close(struct account *a);
void account_free(struct account *a);

#endif

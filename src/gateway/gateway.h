/* The gateway: a streaming HTTP/1.1 proxy in front of MLNode (doc/DESIGN.md, "Gateway").
 *
 * Clients come as streams, whoever carries them: a socket of a loopback listener, or a work stream
 * of the tunnel. Every read is forwarded in the turn in which it came; bodies are never collected.
 * Drives no loop and asks no clock of its own: the world is a struct gateway_host. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/count.h"
#include "base/histogram.h"
#include "gateway/engines.h"
#include "gateway/host.h"
#include "gateway/outcome.h"
#include "gateway/policy.h"
#include "gateway/route.h"

enum {
    /* Go's pool closes idle connections after 90 s and does not send a POST again; MLNode's own
     * port 5000 keeps them for 300 s. */
    GATEWAY_IDLE_S = 310,
    /* From the first byte of a request head to its last; and for the rest of a body that was
     * refused. */
    GATEWAY_HEAD_S = 60,
    /* One request at a time, in either form; the original's limits were 24 h too. */
    GATEWAY_EXCHANGE_S = 24 * 3600,
    GATEWAY_CONNECT_S = 3, /* MLNode is on loopback or next door */
    /* More than ten times what the network registers for a node (max_concurrent 500). */
    GATEWAY_CLIENTS_MAX = 16384,
    /* Requests that go on after their client left. */
    GATEWAY_ORPHANS_MAX = 256,
};

struct gateway_config {
    struct endpoint management; /* MLNode's 8080 */
    struct endpoint inference;  /* MLNode's 5000 */
    struct engines_config engines;
    enum policy policy;
};

struct gateway_counters {
    uint64_t clients;    /* connections ever */
    uint64_t requests;   /* heads, also those that were refused */
    uint64_t answers[6]; /* by hundreds of the status; [0]: closed without an answer */
    uint64_t outcomes[ROUTE_CLASSES][OUTCOME_COUNT]; /* exchanges that ended; refused heads too */
    uint64_t refused;                                /* by policy */
    uint64_t direct; /* requests that went to an engine past port 5000 */
    uint64_t retried;
    uint64_t bytes_in;  /* bodies of requests, as framed towards MLNode */
    uint64_t bytes_out; /* bodies of answers, ours included, as framed towards the clients */
    struct reason_counts ended;         /* requests */
    struct reason_counts clients_ended; /* connections of clients: what their last request ended
                                           with when that ended both, else peer-closed, idle … */
    size_t clients_now;
    size_t exchanges_now;
    size_t upstreams_now;
};

struct gateway;

/* `host` and the strings of `cfg` must outlive it. */
struct gateway *gateway_new(const struct gateway_host *host, const struct gateway_config *cfg);

/* A client's stream, the gateway's from here on: sets s->on and s->owner; whoever carries it begins
 * to deliver afterwards. `peer` is the client's address without port and is copied; anything that
 * cannot be an address is called "unknown".
 * false, and the stream is still the caller's, when GATEWAY_CLIENTS_MAX are here or it stops. */
bool gateway_serve(struct gateway *g, struct stream *s, enum gateway_role role, const char *peer,
                   uint16_t port);

/* Ends what is due; returns when it wants to be called again (the host's clock). Deadlines that
 * arise later than that and are nearer go through host->wake. */
uint64_t gateway_tick(struct gateway *g, uint64_t now_us);

/* When the pool is over its limit: resets clients, who holds most first, until what they held makes
 * up for the excess; reason `memory`. Their memory may go a little later than this returns. */
void gateway_shed(struct gateway *g);

/* How MLNode's management takes the gateway's questions now. */
enum node_manner gateway_node_manner(const struct gateway *g);
enum node_state gateway_node_state(const struct gateway *g);
/* Microseconds since the management last answered; UINT64_MAX: never. */
uint64_t gateway_node_age_us(const struct gateway *g);
/* The i-th engine that ever was healthy, by port; NULL beyond the last. Until the next turn. */
const struct engine *gateway_engine(const struct gateway *g, size_t i);
/* The model that inference/up last named (asked.h), printable; "": none since the start. Valid as
 * long as the gateway, and changes under the caller. */
const char *gateway_asked_model(const struct gateway *g);
void gateway_counters(const struct gateway *g, struct gateway_counters *out);
/* From a request's whole head to the first byte of MLNode's answer, for the exchanges of this class
 * that ended and had one. Valid as long as the gateway, and always up to date. */
const struct histogram *gateway_first_byte(const struct gateway *g, enum route_class class);

/* GET /mlgate/status is answered with what redact (redact.h) leaves of `document`'s answer, which
 * is a new object; without this it is gateway_status (status.h). */
struct json_t;
void gateway_set_document(struct gateway *g, struct json_t *(*document)(void *ctx), void *ctx);

/* The time before a stop. Requests that began go on; each client's connection ends after the answer
 * that is under way. A new request gets 503 `stopping` with Retry-After, or a closed connection
 * without an answer where one would be taken for success; /mlgate/status is still served. */
void gateway_drain(struct gateway *g);
/* Ends the requests that are under way: their answers stay truncated. Clients may still ask. */
void gateway_cut(struct gateway *g);

/* Ends every exchange and connection with resets. Then gateway_free, after the soon-tasks ran. */
void gateway_stop(struct gateway *g);
void gateway_free(struct gateway *g);

#endif

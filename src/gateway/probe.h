/* One small question to an upstream: GET path, on a connection of its own, bounded in time and in
 * size. What the gateway asks on its own account: state, health, models. */
#ifndef GATEWAY_PROBE_H
#define GATEWAY_PROBE_H

#include "gateway/host.h"

/* MLNode's answers have a few KiB; /v1/models with several adapters some more. */
enum { PROBE_BODY_MAX = 256 * 1024 };

struct probe;

/* `done` is called exactly once, never inside probe_start, unless probe_cancel comes first: with
 * the status and the body (valid during the call), or with status 0 and the reason when there was
 * no complete answer of at most PROBE_BODY_MAX bytes before `deadline_us` (host's clock; told by
 * probe_tick) . */
struct probe *probe_start(const struct gateway_host *host, const struct endpoint *to,
                          const char *path, uint64_t deadline_us,
                          void (*done)(void *ctx, unsigned status, const char *body, size_t len,
                                       enum reason why),
                          void *ctx);
/* Ends it when its time is over; returns when it wants to be called again, UINT64_MAX: not at all.
 */
uint64_t probe_tick(struct probe *p, uint64_t now_us);
/* NULL is allowed. */
void probe_cancel(struct probe *p);

#endif

/* A GPU-less stand-in for MLNode on the caller's loop: both ports, the state machine behind `up`,
 * `down` and `stop`, and completions that look like vLLM's. Proof of compute (version 2) is a
 * state, in which completions are refused; nothing is generated and nobody is called back. Weights
 * are downloaded by word alone (testnode/weights.h). Besides MLNode's own paths both ports serve
 * POST /mlgate-test/sink ({"bytes":N,"sha256":"..."}) and GET /mlgate-test/source?bytes=N.
 *
 * With engines, these listen on ports of their own while a model is up, and the inference port
 * passes requests on to them, as MLNode's does to its vLLM instances. The management port then
 * serves GET /mlgate-test/engines (what each has served) and
 * POST /mlgate-test/engine?port=P&do=crash|back|slow|sick|well|freeze[&delay_ms=N]. */
#ifndef TESTNODE_TESTNODE_H
#define TESTNODE_TESTNODE_H

#include <uv.h>

#include "base/log.h"
#include "testnode/route.h"

/* Strings are copied by testnode_start. Log descriptors stay the caller's; -1 is none. One line for
 * each request when it is over, and one more when a completion or a load begins: it may take long,
 * and the process may be killed in the middle. */
struct testnode_options {
    const char *host[NODE_PORTS]; /* IPv4 or IPv6 address, without brackets */
    uint16_t port[NODE_PORTS];    /* 0: any free one */
    int request_log[NODE_PORTS];
    int combined_log;
    double token_rate; /* tokens a second, 0 = as fast as possible */
    size_t tokens;     /* of an answer that nothing cuts short; 1 to ASK_TOKENS_MAX */
    const char *model;
    unsigned load_delay_ms;
    bool initially_up;
    size_t engines;          /* 0: the inference port answers by itself; at most ENGINE_MAX */
    uint16_t engine_port;    /* of the first, the others follow; 0: any free ones */
    unsigned engine_idle_ms; /* until an engine closes an idle connection */
};

struct testnode;

/* 127.0.0.1, 5000 and 8080, 40 tokens a second, 32 tokens, 1 s to load, down, no engines (their
 * first port would be 5001), no logs. */
void testnode_defaults(struct testnode_options *options);
/* Binds all ports; the management port listens at once, the inference port while an engine is up.
 * NULL with the cause in `error` when it cannot; the loop must still run to release what was
 * opened. `log` (NULL is allowed) must outlive the node. SIGPIPE must be ignored by the process. */
struct testnode *testnode_start(uv_loop_t *loop, const struct testnode_options *options,
                                struct log *log, char *error, size_t error_size);
/* The real port number, also while the inference port is closed. */
uint16_t testnode_port(const struct testnode *node, enum node_port port);
/* Of engine `index`, from 0. */
uint16_t testnode_engine_port(const struct testnode *node, size_t index);
/* Closes every socket, live streams too. `closed` (NULL is allowed) is called from the loop when
 * all is released; `node` is invalid from this call on. */
void testnode_stop(struct testnode *node, void (*closed)(void *arg), void *arg);

#endif

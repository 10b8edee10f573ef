/* What the files of net/ share. No one else includes this. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "net/net.h"

enum {
    /* One read of a TLS socket takes at most this, and there is one in a turn: the smaller, the
     * less a token waits behind bulk; a half of it costs 7 % of the throughput. The buffer is
     * shared by the loop's connections. */
    NET_READ_SIZE = 128 * 1024,
    /* Plaintext of several TLS records is handed up at once. */
    NET_PLAIN_SIZE = 256 * 1024,
};

struct net {
    uv_loop_t *loop;
    struct log *log;
    struct pool pool;
    uv_prepare_t before_sleep;
    uv_idle_t awake;
    uv_timer_t linger_timer;
    uv_timer_t gate_timer; /* runs while a gate holds lines back */
    struct log_gates gates;
    bool stopped;
    uint32_t turn; /* of the loop; wraps */
    struct list tasks;
    struct list lookups; /* lookup.c: names that the resolver is being asked for */
    struct lookup_desk *lookup_desk;
    uv_async_t lookup_wake;
    struct list lingering; /* closed connections that still drain, oldest first */
    uint8_t *read_buffer;
    uint8_t *plain_buffer;
};

/* net.c: sees to it that conn_linger_tick is called while n->lingering has entries. */
void net_linger_start(struct net *n);
/* lookup.c: with net_new and net_stop. */
void lookup_open(struct net *n);
void lookup_close(struct net *n);
/* conn.c */
void conn_linger_tick(struct net *n);
void conn_drop_lingering(struct net *n);

#endif

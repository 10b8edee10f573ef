/* The tunnel client as the verbs run it: with -c alone, else with the gateway in one process. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/metrics.h"
#include "cli/runtime.h"
#include "config/env.h"
#include "config/problem.h"
#include "gateway/wire.h"
#include "observe/door.h"
#include "tunnel/tunnel.h"

struct account;
struct client_owner;
struct facts;

struct client_run {
    struct runtime runtime;
    struct log *gateway_log;
    struct wire *gateway; /* NULL with -c: the file names its own services */
    struct client_config cfg;
    struct env_config env;
    struct tunnel *tunnel;
    struct metrics_page metrics;
    const struct client_owner *owner; /* NULL: nobody listens */
    void *owner_ctx;
    struct account *account;
    /* What it says about itself stands on these: the door for those who ask (fd -1: none), and what
     * PID 1 tells (NULL: there is none). Set before it starts. */
    struct door door;
    const struct facts *facts;
    bool from_env;
    int status;
};

/* Who wants to know how it goes. Called on the run's loop. */
struct client_owner {
    /* All files that are needed have been read; no thread was started, and nothing was heard from
     * the network. */
    void (*loaded)(struct client_run *run);
    /* Tunnel and gateway are there, and nothing has happened yet. */
    void (*starting)(struct client_run *run);
    /* A server has confirmed the proxies, or none has them any longer (tunnel_ready tells). */
    void (*ready)(struct client_run *run);
    /* Adds the owner's own numbers. */
    void (*metrics)(struct client_run *run, struct metrics *m);
    /* Once: everything ends; the owner's own handles must go too. */
    void (*stopping)(struct client_run *run);
};

/* Tunnel and gateway as `env` describes them, until a signal or runtime_stop. Returns the exit
 * status. No file is written. */
int client_serve(const struct env_config *env, const struct client_owner *owner, void *ctx);

/* frpc.ini of each server, and the two lines that announce it. */
void client_write_files(const struct client_config *cfg, const char *dir, struct log *log);

#endif

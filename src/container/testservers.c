#include "container/testservers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "config/file.h"
#include "testnode/testnode.h"

enum { SIGNALS = 2 };

struct stand {
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    struct testnode *node;
    struct log *log;
};

/* ---- request logs ---------------------------------------------------------------------------- */

static int open_log(const struct stand *s, const char *directory, const char *name)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
    if (fd < 0)
        log_warn(s->log, "no request log %s: %s", path, strerror(errno));
    return fd;
}

static void open_logs(struct stand *s, const char *directory, struct testnode_options *options)
{
    char why[256];

    if (file_make_dir(directory, 0755, why, sizeof(why)) != 0)
        log_warn(s->log, "LOG_DIR: %s", why);
    options->request_log[NODE_MANAGEMENT] = open_log(s, directory, "http_server_8080.log");
    options->request_log[NODE_INFERENCE] = open_log(s, directory, "http_server_5000.log");
    options->combined_log = open_log(s, directory, "http_server_*.log");
}

/* ---- the servers ----------------------------------------------------------------------------- */

static void asked_to_end(uv_signal_t *signal, int number)
{
    struct stand *s = signal->data;

    testnode_stop(s->node, NULL, NULL);
    for (int i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&s->signals[i], NULL);
}

static void watch_signals(struct stand *s)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT};

    for (int i = 0; i < SIGNALS; i++) {
        uv_signal_init(&s->loop, &s->signals[i]);
        s->signals[i].data = s;
        uv_signal_start(&s->signals[i], asked_to_end, numbers[i]);
    }
}

/* They never leave the container: of the addresses only those on loopback count. */
static const char *address_of(const struct server_addr *at)
{
    bool as_given = env_is_loopback(at->host) && strcmp(at->host, "localhost") != 0;

    return as_given ? at->host : "127.0.0.1";
}

static bool start(struct stand *s, const struct env_config *env)
{
    const struct server_addr *management = &env->mlnode_management;
    const struct server_addr *inference = &env->mlnode_inference;
    struct testnode_options options;
    char error[256];

    testnode_defaults(&options);
    options.host[NODE_MANAGEMENT] = address_of(management);
    options.port[NODE_MANAGEMENT] = management->port;
    options.host[NODE_INFERENCE] = address_of(inference);
    options.port[NODE_INFERENCE] = inference->port;
    options.model = env->model_name;
    options.initially_up = true;
    open_logs(s, env->log_dir, &options);
    s->node = testnode_start(&s->loop, &options, s->log, error, sizeof(error));
    if (s->node == NULL) {
        log_error(s->log, "%s", error);
        return false;
    }
    log_info(s->log, "test servers on %s:%u (management) and %s:%u (inference), logs in %s",
             options.host[NODE_MANAGEMENT], management->port, options.host[NODE_INFERENCE],
             inference->port, env->log_dir);
    return true;
}

int testservers_main(void *ctx, int link)
{
    const struct env_config *env = ctx;
    struct stand s = {.log = log_new(STDOUT_FILENO, "testnode", env->log_level,
                                     (enum log_format)env->log_format)};
    bool started;

    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&s.loop);
    started = start(&s, env);
    if (started)
        watch_signals(&s);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s.loop);
    log_free(s.log);
    return started ? 0 : 1;
}

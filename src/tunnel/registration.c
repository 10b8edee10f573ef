#include "tunnel/registration.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum {
    /* frp asks again for a proxy that was not answered after 20 s. */
    ANSWER_TIMEOUT_US = 20 * 1000 * 1000,
    /* A refused proxy: first soon (a restarted client may be a moment early), then slower. */
    RETRY_FIRST_US = 1000 * 1000,
    RETRY_MAX_US = 60 * 1000 * 1000,
};

enum proxy_state {
    PROXY_WAIT_RETRY = 0, /* not asked for until it is due */
    PROXY_ASKED = 1,
    PROXY_CONFIRMED = 2,
};

struct registered {
    char *wire_name; /* with the user's prefix */
    enum proxy_state state;
    uint64_t due_us;
    uint64_t asked_us;   /* last */
    uint64_t backoff_us; /* the last wait after a refusal */
    unsigned unanswered; /* questions */
};

void registration_init(struct registration *r, const struct client_config *cfg,
                       struct control *control)
{
    r->cfg = cfg;
    r->control = control;
    r->proxies = mem_zalloc(cfg->n_proxies * sizeof(r->proxies[0]));
    for (size_t i = 0; i < cfg->n_proxies; i++)
        r->proxies[i].wire_name = cfg->user[0] != '\0'
                                      ? mem_printf("%s.%s", cfg->user, cfg->proxies[i].name)
                                      : mem_strdup(cfg->proxies[i].name);
}

void registration_clear(struct registration *r)
{
    for (size_t i = 0; i < r->cfg->n_proxies; i++)
        mem_free(r->proxies[i].wire_name);
    mem_free(r->proxies);
    r->proxies = NULL;
}

static size_t find(const struct registration *r, const char *wire_name)
{
    size_t i = 0;

    while (i < r->cfg->n_proxies && strcmp(r->proxies[i].wire_name, wire_name) != 0)
        i++;
    return i;
}

/* ---- asking --------------------------------------------------------------------------------- */

static int ask(struct registration *r, size_t i, uint64_t now_us)
{
    const struct proxy_config *cfg = &r->cfg->proxies[i];
    struct registered *p = &r->proxies[i];
    struct msg m = {.type = MSG_NEW_PROXY};

    m.new_proxy = (struct msg_new_proxy){
        .proxy_name = p->wire_name,
        .proxy_type = "tcp",
        .use_encryption = cfg->use_encryption,
        .remote_port = cfg->remote_port,
    };
    p->unanswered = p->state == PROXY_ASKED ? p->unanswered + 1 : 1;
    p->state = PROXY_ASKED;
    p->asked_us = now_us;
    return control_send(r->control, &m);
}

static bool overdue(const struct registered *p, uint64_t now_us)
{
    return now_us - p->asked_us > ANSWER_TIMEOUT_US;
}

/* Answers carry no more than a name. While one to a question that we took back is under way, the
 * answer to a new question could not be told from it. */
static bool due(const struct registered *p, uint64_t now_us)
{
    return now_us >= p->due_us && (p->unanswered == 0 || overdue(p, now_us));
}

static bool all_due(const struct registration *r, uint64_t now_us)
{
    for (size_t i = 0; i < r->cfg->n_proxies; i++)
        if (r->proxies[i].state == PROXY_WAIT_RETRY && !due(&r->proxies[i], now_us))
            return false;
    return true;
}

int registration_tick(struct registration *r, uint64_t now_us)
{
    bool unit_waits = r->cfg->fate_shared && !all_due(r, now_us);
    int rc = ERR_OK;

    for (size_t i = 0; i < r->cfg->n_proxies && rc == ERR_OK; i++) {
        const struct registered *p = &r->proxies[i];

        if (p->state == PROXY_ASKED && overdue(p, now_us))
            rc = ask(r, i, now_us);
        else if (p->state == PROXY_WAIT_RETRY && !unit_waits && due(p, now_us))
            rc = ask(r, i, now_us);
    }
    return rc;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void take_back(struct registration *r, size_t i)
{
    struct msg m = {.type = MSG_CLOSE_PROXY};

    m.close_proxy.proxy_name = r->proxies[i].wire_name;
    r->proxies[i].state = PROXY_WAIT_RETRY;
    control_send(r->control, &m);
}

void registration_withdraw(struct registration *r)
{
    for (size_t i = 0; i < r->cfg->n_proxies; i++)
        if (r->proxies[i].state != PROXY_WAIT_RETRY)
            take_back(r, i);
}

static void refused(struct registration *r, size_t i, uint64_t now_us)
{
    struct registered *p = &r->proxies[i];

    p->backoff_us = p->backoff_us == 0 ? RETRY_FIRST_US : p->backoff_us * 2;
    if (p->backoff_us > RETRY_MAX_US)
        p->backoff_us = RETRY_MAX_US;
    p->state = PROXY_WAIT_RETRY;
    p->due_us = now_us + p->backoff_us;
    if (r->cfg->fate_shared)
        registration_withdraw(r); /* all are asked for together when this one is due */
}

static void confirmed(struct registered *p)
{
    p->state = PROXY_CONFIRMED;
    p->backoff_us = 0;
}

size_t registration_answered(struct registration *r, const struct msg_new_proxy_resp *answer,
                             uint64_t now_us)
{
    size_t i = find(r, answer->proxy_name);
    bool good = answer->error[0] == '\0';

    if (i == r->cfg->n_proxies)
        return i;
    if (r->proxies[i].unanswered > 0)
        r->proxies[i].unanswered--;
    if (r->proxies[i].state == PROXY_ASKED) {
        if (good)
            confirmed(&r->proxies[i]);
        else
            refused(r, i, now_us);
        return i;
    }
    /* As frp: an answer nobody waits for is ignored. But a server that decided only after we had
     * taken the question back holds the port now. */
    if (r->proxies[i].state == PROXY_WAIT_RETRY && good)
        take_back(r, i);
    return r->cfg->n_proxies;
}

bool registration_confirmed(const struct registration *r, size_t i)
{
    return r->proxies[i].state == PROXY_CONFIRMED;
}

bool registration_complete(const struct registration *r)
{
    for (size_t i = 0; i < r->cfg->n_proxies; i++)
        if (!registration_confirmed(r, i))
            return false;
    return true;
}

size_t registration_of_user(const struct registration *r, const char *wire_name)
{
    size_t i = find(r, wire_name);

    if (i < r->cfg->n_proxies && r->proxies[i].state == PROXY_WAIT_RETRY)
        return r->cfg->n_proxies;
    return i;
}

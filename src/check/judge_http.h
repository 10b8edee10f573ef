/* What the answers of API node and MLNode amount to. Pure. */
#ifndef CHECK_JUDGE_HTTP_H
#define CHECK_JUDGE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "check/finding.h"
#include "check/judge_instance.h"

enum {
    CHECK_SKEW_WARN_S = 10,  /* more than a slow answer and a rounded second explain */
    CHECK_SKEW_FAIL_S = 900, /* logins are refused beyond this (--login-max-skew) */
};

/* One question and what came of it. */
struct http_facts {
    const char *host;
    uint16_t port;
    const char *path;
    bool answered;   /* a whole HTTP answer came */
    enum reason why; /* otherwise; REASON_NONE: the time was up */
    char text[320];  /* one sentence about the failure */
    unsigned status; /* 0: not even a head came */
    int64_t date_s;  /* of the answer's Date; 0: it has none */
    int64_t here_s;  /* our clock when its head came */
    char server[64]; /* its Server field, escaped */
    char peer[64];   /* who was connected to; "": nobody */
    char *body;      /* owned; not terminated */
    size_t len;
};

void http_facts_release(struct http_facts *f);

/* api.tcp, api.http, clock.api. */
void judge_api(struct findings *list, const struct http_facts *f);
/* mlnode.management from GET /api/v1/state, mlnode.inference from GET /v1/models. `test`: what
 * answers is the test servers, not MLNode. */
void judge_mlnode(struct findings *list, const struct http_facts *management,
                  const struct http_facts *inference, const struct instance_facts *instance);

#endif

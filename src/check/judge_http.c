#include "check/judge_http.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "gateway/mlnode.h"

void http_facts_release(struct http_facts *f)
{
    mem_free(f->body);
    f->body = NULL;
    f->len = 0;
}

static const char *subject_of(const struct http_facts *f, char out[TEXT_HOST_PORT])
{
    return text_host_port(out, f->host, f->port);
}

static bool is_unconnected(enum reason why)
{
    return why == REASON_RESOLVE_FAILED || why == REASON_CONNECT_REFUSED ||
           why == REASON_CONNECT_FAILED || why == REASON_CONNECT_TIMEOUT;
}

static const char *text_of(const struct http_facts *f)
{
    return f->text[0] != '\0' ? f->text : "no answer in the time of this check";
}

/* ---- the API node ---------------------------------------------------------------------------- */

static const char *api_remedy(enum reason why)
{
    if (why == REASON_RESOLVE_FAILED)
        return "check the name in API_NODE, and the container's DNS (/etc/resolv.conf)";
    if (why == REASON_CONNECT_REFUSED)
        return "nothing listens there: API_NODE is the API node's public address and port, as in "
               "its PUBLIC_URL";
    if (why == REASON_CONNECT_FAILED)
        return "that host is down, or its network does not answer; where nothing else can be "
               "reached either, this container has no way out";
    return "a firewall drops it, or API_NODE is wrong: it is the API node's public address and "
           "port, as in its PUBLIC_URL";
}

static void judge_clock(struct findings *list, const char *subject, const struct http_facts *f)
{
    int64_t ahead = f->here_s - f->date_s;
    int64_t skew = ahead < 0 ? -ahead : ahead;
    const char *side = ahead < 0 ? "behind" : "ahead of";

    if (f->date_s == 0) {
        finding_add(list, CHECK_CLOCK_API, subject, VERDICT_SKIP, "its answers tell no time");
    } else if (skew < CHECK_SKEW_WARN_S) {
        finding_add(list, CHECK_CLOCK_API, subject, VERDICT_OK,
                    "the clocks agree within %" PRId64 " s", skew + 1);
    } else {
        finding_add(list, CHECK_CLOCK_API, subject,
                    skew < CHECK_SKEW_FAIL_S ? VERDICT_WARN : VERDICT_FAIL,
                    "our clock is %" PRId64 " s %s the API node's", skew, side);
        finding_remedy(list,
                       "set the clock that is wrong (NTP); a container has its host's, so "
                       "this is for the platform to mend, or choose another host; a server "
                       "refuses logins that are more than %d s away",
                       CHECK_SKEW_FAIL_S);
    }
}

void judge_api(struct findings *list, const struct http_facts *f)
{
    char subject[TEXT_HOST_PORT];

    subject_of(f, subject);
    if (f->status == 0 && (is_unconnected(f->why) || (f->why == REASON_NONE && !f->peer[0]))) {
        finding_add(list, CHECK_API_TCP, subject, VERDICT_FAIL, "%s", text_of(f));
        finding_remedy(list, "%s", api_remedy(f->why));
        finding_skip(list, CHECK_API_HTTP, subject, CHECK_API_TCP);
        finding_skip(list, CHECK_CLOCK_API, subject, CHECK_API_TCP);
        return;
    }
    finding_add(list, CHECK_API_TCP, subject, VERDICT_OK, "connected%s%s", f->peer[0] ? " to " : "",
                f->peer);
    if (f->status == 0) {
        finding_add(list, CHECK_API_HTTP, subject, VERDICT_WARN, "%s", text_of(f));
        finding_remedy(list, "API_NODE should be the API node's public HTTP port; a port that "
                             "speaks TLS only cannot be looked at from here");
        finding_skip(list, CHECK_CLOCK_API, subject, CHECK_API_HTTP);
        return;
    }
    finding_add(list, CHECK_API_HTTP, subject, VERDICT_OK, "answers HTTP (status %u)", f->status);
    judge_clock(list, subject, f);
}

/* ---- MLNode ---------------------------------------------------------------------------------- */

static void management_absent(struct findings *list, const char *subject,
                              const struct http_facts *f, const struct instance_facts *instance)
{
    if (f->why == REASON_CONNECT_REFUSED && !instance->here) {
        finding_add(list, CHECK_MLNODE_MANAGEMENT, subject, VERDICT_SKIP,
                    "nobody listens, and nobody should before `mlgate run` has started MLNode");
    } else if (f->why == REASON_CONNECT_REFUSED) {
        finding_add(list, CHECK_MLNODE_MANAGEMENT, subject, VERDICT_WARN, "nobody listens");
        finding_remedy(list, "MLNode needs a minute to start; if it stays so, the container's log "
                             "says why it ends, or that the image has none");
    } else if (is_unconnected(f->why)) {
        finding_add(list, CHECK_MLNODE_MANAGEMENT, subject, VERDICT_FAIL, "%s", text_of(f));
        finding_remedy(list, "MLNODE_MANAGEMENT must be where MLNode's management listens");
    } else {
        finding_add(list, CHECK_MLNODE_MANAGEMENT, subject, VERDICT_FAIL,
                    "connected, and no answer: %s", text_of(f));
        finding_remedy(list, "MLNode hangs so for some 30 s after an engine crashed, and is then "
                             "started again; if it stays so, restart it");
    }
}

static void management_foreign(struct findings *list, const char *subject,
                               const struct http_facts *f)
{
    finding_add(list, CHECK_MLNODE_MANAGEMENT, subject, VERDICT_FAIL,
                "what answers is not MLNode: status %u for %s%s%s", f->status, f->path,
                f->server[0] ? ", server " : "", f->server);
    finding_remedy(list, "another program has the port (Jupyter does in Vast's Jupyter mode): stop "
                         "it, or give MLNode another port with MLNODE_MANAGEMENT");
}

static bool judge_management(struct findings *list, const struct http_facts *f,
                             const struct instance_facts *instance, char state[MLNODE_STATE_MAX])
{
    char subject[TEXT_HOST_PORT];

    subject_of(f, subject);
    state[0] = '\0';
    if (!f->answered && f->status == 0) {
        management_absent(list, subject, f, instance);
        return false;
    }
    if (f->status >= 500) {
        finding_add(list, CHECK_MLNODE_MANAGEMENT, subject, VERDICT_FAIL,
                    "answers with status %u for %s", f->status, f->path);
        finding_remedy(list, "MLNode's log says why");
        return false;
    }
    if (f->status != 200 || !f->answered || !mlnode_state(f->body, f->len, state)) {
        management_foreign(list, subject, f);
        return false;
    }
    finding_add(list, CHECK_MLNODE_MANAGEMENT, subject, VERDICT_OK, "MLNode's state is %s", state);
    return true;
}

static void inference_absent(struct findings *list, const char *subject, const struct http_facts *f,
                             const char *state)
{
    if (f->why == REASON_CONNECT_REFUSED && strcmp(state, "INFERENCE") != 0) {
        finding_add(list, CHECK_MLNODE_INFERENCE, subject, VERDICT_OK,
                    "closed, which is normal while no model is loaded (state %s)", state);
    } else if (f->why == REASON_CONNECT_REFUSED) {
        finding_add(list, CHECK_MLNODE_INFERENCE, subject, VERDICT_WARN,
                    "closed although the state is INFERENCE");
        finding_remedy(list, "no engine is healthy: one that starts or crashed needs minutes; if "
                             "it stays so, MLNode's log says why");
    } else if (is_unconnected(f->why)) {
        finding_add(list, CHECK_MLNODE_INFERENCE, subject, VERDICT_FAIL, "%s", text_of(f));
        finding_remedy(list, "MLNODE_INFERENCE must be where MLNode's inference listens");
    } else {
        finding_add(list, CHECK_MLNODE_INFERENCE, subject, VERDICT_WARN,
                    "connected, and no answer: %s", text_of(f));
        finding_remedy(list,
                       "the engines may be overloaded; if it stays so, MLNode's log says why");
    }
}

static void judge_inference(struct findings *list, const struct http_facts *f, const char *state)
{
    char subject[TEXT_HOST_PORT];
    char *models = f->status == 200 && f->answered ? mlnode_models(f->body, f->len) : NULL;

    subject_of(f, subject);
    if (f->status == 0) {
        inference_absent(list, subject, f, state);
    } else if (models != NULL) {
        finding_add(list, CHECK_MLNODE_INFERENCE, subject, VERDICT_OK, "answers and has a model");
    } else if (f->status >= 500) {
        finding_add(list, CHECK_MLNODE_INFERENCE, subject, VERDICT_WARN,
                    "answers with status %u: no engine takes requests now", f->status);
        finding_remedy(list, "an engine that starts needs minutes; if it stays so, MLNode's log "
                             "says why");
    } else {
        finding_add(list, CHECK_MLNODE_INFERENCE, subject, VERDICT_FAIL,
                    "what answers is not MLNode: status %u for %s%s%s", f->status, f->path,
                    f->server[0] ? ", server " : "", f->server);
        finding_remedy(list, "another program has the port: stop it, or set MLNODE_INFERENCE");
    }
    mem_free(models);
}

void judge_mlnode(struct findings *list, const struct http_facts *management,
                  const struct http_facts *inference, const struct instance_facts *instance)
{
    char state[MLNODE_STATE_MAX];
    char subject[TEXT_HOST_PORT];

    if (judge_management(list, management, instance, state))
        judge_inference(list, inference, state);
    else if (inference->status != 0)
        judge_inference(list, inference, "unknown");
    else
        finding_add(list, CHECK_MLNODE_INFERENCE, subject_of(inference, subject), VERDICT_SKIP,
                    "closed, and mlnode.management does not say whether it should be open");
}

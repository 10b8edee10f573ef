#include "observe/document.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/text.h"

enum {
    TEXT_ROOM = 1024, /* more than the longest sentence of ours, with what a peer said in it */
};

json_t *document_text(const char *text)
{
    char safe[TEXT_ROOM];

    return json_string(log_safe(safe, sizeof(safe), text, strlen(text)));
}

json_t *document_moment(int64_t seconds)
{
    char text[40];
    time_t t = (time_t)seconds;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return json_null();
    return json_string(text);
}

json_t *document_address(const char *host, uint16_t port)
{
    char text[TEXT_HOST_PORT];

    return document_text(text_host_port(text, host, port));
}

static json_int_t seconds(uint64_t now_us, uint64_t then_us)
{
    return now_us > then_us ? (json_int_t)((now_us - then_us) / 1000000) : 0;
}

/* ---- servers --------------------------------------------------------------------------------- */

static json_t *port_json(const struct proxy_config *proxy, const struct client_proxy_status *p)
{
    static const char *const words[] = {[CLIENT_PROXY_WAITING] = "waiting",
                                        [CLIENT_PROXY_CONFIRMED] = "confirmed",
                                        [CLIENT_PROXY_REFUSED] = "refused"};
    json_t *out = json_pack("{s:o, s:i, s:s, s:o}", "name", document_text(proxy->name), "remote",
                            (int)p->remote_port, "state", words[p->state], "to",
                            document_address(proxy->local_ip, proxy->local_port));

    if (p->error != NULL && p->error[0] != '\0')
        json_object_set_new(out, "error", document_text(p->error));
    return out;
}

static json_t *ports_json(const struct document_server *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->cfg->n_proxies; i++)
        json_array_append_new(list, port_json(&s->cfg->proxies[i], &s->ports[i]));
    return list;
}

static json_t *last_end_json(const struct client_status *c, uint64_t now_us)
{
    return json_pack("{s:s, s:o, s:I}", "reason", reason_name(c->last_end.why), "text",
                     document_text(c->last_end.text), "ago_s", seconds(now_us, c->last_end.at_us));
}

json_t *document_server(const struct document_server *s, uint64_t now_us)
{
    const struct client_status *c = s->status;
    json_t *out = json_pack(
        "{s:o, s:s, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "address",
        document_text(c->address), "state", client_state_name(c->state), "since_s",
        seconds(now_us, c->since_us), "sessions", (json_int_t)c->sessions, "ports", ports_json(s),
        "streams", (json_int_t)c->streams, "users", (json_int_t)c->users, "bytes_in",
        (json_int_t)c->bytes_in, "bytes_out", (json_int_t)c->bytes_out, "rate_in",
        (json_int_t)rate_in(s->rate), "rate_out", (json_int_t)rate_out(s->rate));

    if (c->round_trip_us > 0 && c->silent_us == 0) /* the last one says nothing about now */
        json_object_set_new(out, "round_trip_ms", json_real((double)c->round_trip_us / 1000));
    if (c->silent_us > 0)
        json_object_set_new(out, "silent_s", json_integer(seconds(now_us, c->silent_us)));
    if (c->last_end.why != REASON_NONE)
        json_object_set_new(out, "last_end", last_end_json(c, now_us));
    if (c->next_try_us > 0)
        json_object_set_new(out, "next_try_s", json_integer(seconds(c->next_try_us, now_us)));
    return out;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void add(json_t *document, const char *key, json_t *value)
{
    if (value != NULL)
        json_object_set_new(document, key, value);
}

json_t *document_make(const struct document_who *who, json_t *servers, json_t *gateway,
                      json_t *model, json_t *container)
{
    json_t *document = json_pack("{s:s, s:o, s:I, s:s}", "version", MLGATE_VERSION, "started",
                                 document_moment(who->started_s), "uptime_s",
                                 (json_int_t)(who->uptime_us / 1000000), "role", who->role);

    add(document, "client_id", who->client_id ? document_text(who->client_id) : NULL);
    add(document, "node_id", who->node_id ? document_text(who->node_id) : NULL);
    add(document, "servers", servers);
    if (gateway != NULL) {
        json_object_update_missing(document, gateway);
        json_decref(gateway);
    }
    add(document, "model", model);
    add(document, "container", container);
    return document;
}

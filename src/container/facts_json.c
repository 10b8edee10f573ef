#include "container/facts_json.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "container/child.h"
#include "observe/document.h"

/* As keys and words of the document. */
static const char *const names[PLAN_CHILDREN] = {
    [PLAN_WORKER] = "worker", [PLAN_NODE] = "mlnode", [PLAN_MODEL] = "model"};

static json_t *child_json(const struct facts_child *c, uint64_t now_us)
{
    json_t *out =
        json_pack("{s:s, s:I}", "state", plan_child_state_name((enum child_state)c->state),
                  "starts", (json_int_t)c->starts);

    if (c->state == CHILD_ALIVE && now_us >= c->since_us)
        json_object_set_new(out, "since_s",
                            json_integer((json_int_t)((now_us - c->since_us) / 1000000)));
    return out;
}

/* What these two mean, to a shell and to us: most likely MLNODE_COMMAND is wrong. */
static void add_shells_word(int wait_status, char *out, size_t size)
{
    size_t len = strlen(out);

    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 127)
        snprintf(out + len, size - len, " (a command was not found)");
    else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 126)
        snprintf(out + len, size - len, " (a command cannot be executed)");
}

static void put_why(const struct facts_restart *r, char *out, size_t size)
{
    switch ((enum facts_why)r->why) {
    case FACTS_WHY_NO_BEAT:
        snprintf(out, size, "gave no sign of life and was killed");
        break;
    case FACTS_WHY_SILENT:
        snprintf(out, size, "accepted connections, did not answer, and was killed");
        break;
    case FACTS_WHY_NOT_STARTED:
        snprintf(out, size, "could not be started");
        break;
    default:
        child_fate(r->wait_status, out, size);
        break;
    }
    if (r->why == FACTS_WHY_ENDED && r->child == PLAN_NODE)
        add_shells_word(r->wait_status, out, size);
}

static json_t *restarts_json(const struct facts *f, int64_t now_s)
{
    json_t *list = json_array();

    for (int i = f->n_restarts - 1; i >= 0; i--) {
        const struct facts_restart *r = &f->restarts[i];
        char why[80];

        put_why(r, why, sizeof(why));
        json_array_append_new(list, json_pack("{s:s, s:o, s:I, s:o}", "who", names[r->child], "why",
                                              document_text(why), "ago_s",
                                              (json_int_t)(now_s > r->at_s ? now_s - r->at_s : 0),
                                              "at", document_moment(r->at_s)));
    }
    return list;
}

static void add_listeners(json_t *out, const struct facts *f)
{
    json_t *list;

    if (f->audit != FACTS_AUDIT_DONE)
        return;
    list = json_array();
    for (int i = 0; i < f->n_ports; i++)
        json_array_append_new(list, json_integer(f->ports[i]));
    json_object_set_new(out, "listeners", list);
    if (f->more_ports > 0)
        json_object_set_new(out, "more_listeners", json_integer(f->more_ports));
}

/* Who was never started is not told of; who prepared the model and is done with it neither. */
static bool is_told(const struct facts *f, int child)
{
    return f->child[child].state != CHILD_NONE ||
           (f->child[child].starts > 0 && child != PLAN_MODEL);
}

json_t *facts_container_json(const struct facts *f, int64_t now_s, uint64_t now_us)
{
    json_t *out =
        json_pack("{s:s, s:o, s:I, s:o}", "phase", plan_phase_name((enum plan_phase)f->phase),
                  "started", document_moment(f->started_s), "uptime_s",
                  (json_int_t)(now_s > f->started_s ? now_s - f->started_s : 0), "restarts",
                  restarts_json(f, now_s));

    for (int i = 0; i < PLAN_CHILDREN; i++)
        if (is_told(f, i))
            json_object_set_new(out, names[i], child_json(&f->child[i], now_us));
    add_listeners(out, f);
    return out;
}

json_t *facts_model_json(const struct facts *f)
{
    const struct model_beat *m = &f->model;
    json_t *out;

    if (m->magic == 0)
        return NULL;
    out = json_pack("{s:s, s:s, s:I}", "state", model_stage_name((enum model_stage)m->stage), "by",
                    model_by_name((enum model_by)m->by), "bytes", (json_int_t)m->bytes);
    if (m->stage != MODEL_STAGE_OFF) /* else it may be a name that nobody set */
        json_object_set_new(out, "name", document_text(m->name));
    if (m->total > 0)
        json_object_set_new(out, "total_bytes", json_integer((json_int_t)m->total));
    if (m->percent != MODEL_PERCENT_UNKNOWN)
        json_object_set_new(out, "percent", json_real((double)m->percent / 100));
    if (m->stage == MODEL_STAGE_DOWNLOADING)
        json_object_set_new(out, "rate", json_integer((json_int_t)m->rate));
    if (m->remaining_s != MODEL_REMAINING_UNKNOWN)
        json_object_set_new(out, "remaining_s", json_integer(m->remaining_s));
    if (m->text[0] != '\0')
        json_object_set_new(out, "text", document_text(m->text));
    return out;
}

#include "cli/container_metrics.h"

static const char *const child_names[PLAN_CHILDREN] = {
    [PLAN_WORKER] = "worker", [PLAN_NODE] = "mlnode", [PLAN_MODEL] = "model"};

static void write_children(struct metrics *m, const struct facts *facts)
{
    metrics_family(m, "mlgate_container_child_up", METRICS_GAUGE,
                   "1: this process of the container runs.");
    for (int i = 0; i < PLAN_CHILDREN; i++) {
        const struct metrics_label label = {"child", child_names[i]};

        metrics_put(m, &label, 1, facts->child[i].state == CHILD_ALIVE);
    }
    metrics_family(m, "mlgate_container_child_starts_total", METRICS_COUNTER,
                   "Starts of this process; each after the first is a restart.");
    for (int i = 0; i < PLAN_CHILDREN; i++) {
        const struct metrics_label label = {"child", child_names[i]};

        metrics_put(m, &label, 1, facts->child[i].starts);
    }
}

/* Families without samples, while nothing is known: so a reader tells "not yet" from "not here". */
static void write_model(struct metrics *m, const struct model_beat *model)
{
    bool known = model->magic != 0;

    metrics_family(m, "mlgate_model_stage", METRICS_GAUGE,
                   "1 for how far the preparation of MODEL_NAME is.");
    for (int i = 0; known && i < MODEL_STAGES; i++) {
        const struct metrics_label label = {"stage", model_stage_name((enum model_stage)i)};

        metrics_put(m, &label, 1, model->stage == i);
    }
    metrics_family(m, "mlgate_model_disk_bytes", METRICS_GAUGE, "Bytes of the model on disk.");
    if (known)
        metrics_put(m, NULL, 0, model->bytes);
    metrics_family(m, "mlgate_model_size_bytes", METRICS_GAUGE, "Bytes of the whole model.");
    if (known && model->total > 0)
        metrics_put(m, NULL, 0, model->total);
}

void container_metrics_write(struct metrics *m, const struct facts *facts)
{
    if (facts->magic == 0)
        return;
    metrics_one(m, "mlgate_container_start_time_seconds", METRICS_GAUGE,
                "Unix time of the container's start.", (uint64_t)facts->started_s);
    write_children(m, facts);
    metrics_family(m, "mlgate_container_exposed_ports", METRICS_GAUGE,
                   "Listeners of the container that can be reached from outside.");
    if (facts->audit == FACTS_AUDIT_DONE)
        metrics_put(m, NULL, 0, facts->n_ports + facts->more_ports);
    write_model(m, &facts->model);
}

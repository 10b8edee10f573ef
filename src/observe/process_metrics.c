#include "observe/process_metrics.h"

void process_metrics_write(struct metrics *m, const struct pool *pool, int64_t started_s)
{
    const struct metrics_label version = {"version", MLGATE_VERSION};

    metrics_family(m, "mlgate_build_info", METRICS_GAUGE, "Which mlgate this is; always 1.");
    metrics_put(m, &version, 1, 1);
    metrics_one(m, "mlgate_start_time_seconds", METRICS_GAUGE, "Unix time of the start.",
                (uint64_t)started_s);
    metrics_one(m, "mlgate_memory_held_bytes", METRICS_GAUGE,
                "Memory held for bytes under way, of which there may be MEMORY_LIMIT.", pool->held);
    metrics_one(m, "mlgate_memory_peak_bytes", METRICS_GAUGE,
                "The most that was ever held for bytes under way.", pool->peak);
    metrics_one(m, "mlgate_memory_limit_bytes", METRICS_GAUGE, "MEMORY_LIMIT.", pool->limit);
}

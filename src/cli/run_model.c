#include "cli/run_model.h"

#include <stdio.h>
#include <string.h>

const char *run_model_why_not(const struct env_config *env, bool node)
{
    if (env->model_prefetch == MODEL_PREFETCH_OFF)
        return "MODEL_PREFETCH is off";
    /* The default is what the image's documentation has named for ever; tens of gigabytes of it
     * should not come to somebody who did not ask for them. */
    if (!env->model_given)
        return "MODEL_NAME is not set; MLNode fetches what it is told to load, when it is told to";
    if (env->ubuntu_test && !env->model_prefetch_given)
        return "UBUNTU_TEST: the test servers need no weights";
    if (!env_is_loopback(env->mlnode_management.host))
        return "MLNODE_MANAGEMENT names another host, whose disk is not ours";
    return node ? NULL : "there is no MLNode here";
}

static void fill(struct model_settings *settings, const struct env_config *env)
{
    *settings = (struct model_settings){
        .name = env->model_name,
        .log_level = env->log_level,
        .mlnode = {.host = env->mlnode_management.host,
                   .port = env->mlnode_management.port,
                   .hf_home = env->hf_home,
                   .host_uid = env->host_uid,
                   .host_gid = env->host_gid,
                   .log_format = (enum log_format)env->log_format},
    };
}

struct child_program run_model(struct model_settings *settings, struct env_config *env, bool node,
                               struct model_beat *said, struct log *log)
{
    const char *why_not = run_model_why_not(env, node);

    *said = (struct model_beat){.magic = MODEL_BEAT_MAGIC,
                                .stage = why_not ? MODEL_STAGE_OFF : MODEL_STAGE_WAITING,
                                .percent = MODEL_PERCENT_UNKNOWN,
                                .remaining_s = MODEL_REMAINING_UNKNOWN};
    log_safe(said->name, sizeof(said->name), env->model_name, strlen(env->model_name));
    if (why_not != NULL) {
        snprintf(said->text, sizeof(said->text), "%s", why_not);
        log_info(log, "no model is fetched in advance: %s", why_not);
        return (struct child_program){0};
    }
    fill(settings, env);
    return (struct child_program){.name = "mlgate-model", .main = model_main, .ctx = settings};
}

#include "cli/run_node.h"

#include "base/mem.h"
#include "config/words.h"
#include "container/testservers.h"

static void place_guard(struct run_node *node, struct log *log)
{
    char why[256];

    if (bind_guard_place(bind_guard_dirs, node->guard, why, sizeof(why)) == 0)
        node->settings.guard = node->guard;
    else
        log_warn(log,
                 "no bind guard: MLNode listens on every address, and where the platform publishes "
                 "its ports strangers reach them (%s)",
                 why);
}

struct child_program run_node(struct run_node *node, struct env_config *env, struct log *log)
{
    *node = (struct run_node){0};
    if (env->ubuntu_test)
        return (struct child_program){.name = "mlgate-test", .main = testservers_main, .ctx = env};
    if (env->mlnode_command)
        node->command = words_split(env->mlnode_command);
    node->guard_ports = bind_guard_ports(env->bind_guard_ports, env->n_bind_guard_ports);
    node->settings = (struct mlnode_settings){
        .command = node->command,
        .host = env->mlnode_management.host,
        .port = env->mlnode_management.port,
        .hf_home = env->hf_home,
        .host_uid = env->host_uid,
        .host_gid = env->host_gid,
        .guard_ports = node->guard_ports,
        .log_format = (enum log_format)env->log_format,
    };
    if (!mlnode_present(&node->settings, log))
        return (struct child_program){0};
    place_guard(node, log);
    return (struct child_program){.name = "mlnode", .main = mlnode_main, .ctx = &node->settings};
}

void run_node_free(struct run_node *node)
{
    mem_free(node->command);
    mem_free(node->guard_ports);
}

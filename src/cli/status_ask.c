#include "cli/status.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "container/health.h"
#include "container/plan.h"
#include "observe/door.h"
#include "observe/problems.h"
#include "observe/report.h"

char *status_server_door(const char *state_dir, uint16_t port)
{
    return state_dir != NULL ? mem_printf("%s/status.sock", state_dir)
                             : mem_printf("@mlgate-server-%u", port);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static ssize_t ask_once(const char *path, char **text)
{
    int fd = door_knock(path, STATUS_ASK_MS);
    ssize_t n;

    if (fd < 0)
        return fd;
    n = door_hear(fd, STATUS_MAX, STATUS_ASK_MS, text);
    close(fd);
    return n;
}

/* A worker that ends between the knock and its answer refuses nobody: root asks once more. */
static ssize_t ask(const char *path, char **text)
{
    ssize_t n = ask_once(path, text);

    return n == -EACCES && geteuid() == 0 ? ask_once(path, text) : n;
}

static bool is_stale(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Who asks at the wrong door is told of others. */
static void nobody(const struct status_target *t, char *out, size_t size)
{
    char others[512];

    if (status_find("/proc/net/unix", t->path, others, sizeof(others)))
        snprintf(out, size,
                 "%s is not running here: nobody listens on %s; but somebody does on %s: a server "
                 "is asked with --server --state-dir DIR, a client with -c FILE, `mlgate run` with "
                 "FRP_CONFIG_DIR=DIR",
                 t->who, t->path, others);
    else
        snprintf(out, size, "%s is not running here: nobody listens on %s%s", t->who, t->path,
                 t->server ? ""
                           : "; a server is asked with --server, `mlgate client -c FILE` with -c "
                             "FILE");
}

static void explain(const struct status_target *t, int error, char *out, size_t size)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        if (is_stale(t->path))
            snprintf(out, size, "%s is not running: it left %s behind and is gone", t->who,
                     t->path);
        else
            nobody(t, out, size);
        break;
    case EACCES:
    case EPERM:
        snprintf(out, size, "%s answers root and its own user only: ask as one of them", t->path);
        break;
    case ETIMEDOUT:
        snprintf(out, size, "%s is there and does not answer within %d s", t->who,
                 STATUS_ASK_MS / 1000);
        break;
    default:
        snprintf(out, size, "%s does not answer on %s: %s", t->who, t->path, strerror(error));
        break;
    }
}

/* ---- PID 1's word ---------------------------------------------------------------------------- */

static json_t *child_json(uint8_t state, uint32_t starts)
{
    return json_pack("{s:s, s:I}", "state", plan_child_state_name((enum child_state)state),
                     "starts", (json_int_t)starts);
}

/* What PID 1 says where the worker cannot; false when it does not either. */
static bool ask_supervisor(const struct status_target *t, struct status_answer *answer)
{
    struct health h;

    if (t->directory[0] == '\0' || health_ask(t->directory, &h) != 0)
        return false;
    snprintf(answer->error, sizeof(answer->error), "the worker does not answer; PID 1 says: %s",
             health_text(&h));
    answer->document = json_pack("{s:s, s:{s:s, s:o, s:o}}", "version", MLGATE_VERSION, "container",
                                 "phase", plan_phase_name((enum plan_phase)h.phase), "worker",
                                 child_json(h.worker, h.worker_starts), "mlnode",
                                 child_json(h.node, h.node_starts));
    problems_add(answer->document);
    return true;
}

void status_ask(const struct status_target *t, struct status_answer *answer)
{
    char *text = NULL;
    ssize_t n = ask(t->path, &text);

    *answer = (struct status_answer){0};
    if (n >= 0)
        answer->document = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
    mem_free(text);
    if (json_is_object(answer->document))
        return;
    json_decref(answer->document);
    answer->document = NULL;
    if (n != -EACCES && n != -EPERM && ask_supervisor(t, answer))
        return;
    explain(t, n < 0 ? (int)-n : EPROTO, answer->error, sizeof(answer->error));
}

/* ---- printing -------------------------------------------------------------------------------- */

void status_print(FILE *out, const struct status_answer *answer, bool json, size_t json_flags,
                  bool colour)
{
    json_t *all;

    if (!json) {
        if (answer->error[0] != '\0')
            fprintf(out, "%s\n", answer->error);
        if (answer->document != NULL)
            report_write(out, answer->document, colour);
        return;
    }
    all = answer->document != NULL ? json_copy(answer->document) : json_object();
    if (answer->error[0] != '\0')
        json_object_set_new(all, "error", json_string(answer->error));
    json_dumpf(all, out, json_flags | JSON_REAL_PRECISION(STATUS_DIGITS));
    fputc('\n', out);
    json_decref(all);
}

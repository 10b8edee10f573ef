#include "container/model_link.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "container/shim.h"

enum { RECORDS_A_TURN = 16 };

struct shim {
    const struct child_program *program;
    enum log_format format;
};

static int run_shim(void *ctx, int link)
{
    const struct shim *shim = ctx;
    struct log *log = log_new(STDOUT_FILENO, "model", LOG_INFO, shim->format);
    int status = shim_run(shim->program, link, -1, log);

    log_free(log);
    return status;
}

static void tell(const struct model_link *m)
{
    if (m->fd >= 0 && m->asked[0] != '\0')
        send(m->fd, m->asked, sizeof(m->asked), MSG_NOSIGNAL | MSG_DONTWAIT);
}

pid_t model_link_start(struct model_link *m, const struct child_program *program, int output,
                       enum log_format format)
{
    struct shim ctx = {.program = program, .format = format};
    const struct child_program shim = {.name = "mlgate-shim", .main = run_shim, .ctx = &ctx};
    struct child_surroundings around = {.output = output, .when_gone = SIGUSR1};
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return -1;
    around.link = ends[1];
    pid = child_start(&shim, &around);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -1;
    }
    m->fd = ends[0];
    m->bad_record_said = false;
    tell(m);
    return pid;
}

static void hang_up(struct model_link *m)
{
    close(m->fd);
    m->fd = -1;
}

void model_link_read(struct model_link *m, struct log *log)
{
    char data[sizeof(struct model_beat) + 1]; /* a record that is too long must show */

    for (int i = 0; i < RECORDS_A_TURN && m->fd >= 0; i++) {
        ssize_t n = recv(m->fd, data, sizeof(data), MSG_DONTWAIT);

        if (n < 0 && errno != ECONNRESET)
            return;
        if (n <= 0) {
            hang_up(m);
        } else if (!model_beat_read(data, (size_t)n, &m->last) && !m->bad_record_said) {
            m->bad_record_said = true;
            log_error(log,
                      "the model's preparation sent something that is no record; not believed");
        }
    }
}

void model_link_tell(struct model_link *m, const char *asked)
{
    if (asked[0] == '\0' || strcmp(asked, m->asked) == 0)
        return; /* a worker that just came back has not heard of any */
    snprintf(m->asked, sizeof(m->asked), "%s", asked);
    tell(m);
}

static bool has_ended(enum model_stage stage)
{
    return stage == MODEL_STAGE_DONE || stage == MODEL_STAGE_FAILED ||
           stage == MODEL_STAGE_STOPPED || stage == MODEL_STAGE_RETRYING;
}

void model_link_ended(struct model_link *m, struct log *log)
{
    model_link_read(m, log); /* its last words */
    if (m->fd >= 0)
        hang_up(m);
    if (has_ended((enum model_stage)m->last.stage))
        return;
    m->last.magic = MODEL_BEAT_MAGIC;
    m->last.stage = MODEL_STAGE_RETRYING;
    m->last.rate = 0;
    m->last.remaining_s = MODEL_REMAINING_UNKNOWN;
    snprintf(m->last.text, sizeof(m->last.text), "the process that fetched it was ended");
}

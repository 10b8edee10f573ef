/* The steps, in the order that model.c gives. */
#include "container/model_run.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/human.h"
#include "base/text.h"
#include "config/env.h"
#include "config/file.h"
#include "container/beat.h"
#include "container/model_internal.h"
#include "container/variables.h"

enum {
    ASK_MS = 30000, /* MLNode looks at every file and asks the hub for their list */
    LOOK_EVERY_US = 1000000,
    BAR_WIDTH = 30,
};

extern char **environ;

struct run {
    const struct model_settings *settings;
    struct model_job job;
    struct model_node node;
    struct model_tool tool;
    struct model_tools tools;
    const char *python; /* one of tools.python: the one with the hub's library; NULL: none */
    char **envp;        /* of tools */
    char cache[MLNODE_PATH_MAX]; /* "": not known yet */
    uint64_t leftovers;          /* bytes in it that count for nothing */
    struct log *log;
    int link;
    bool terminal;
    uint64_t look_us; /* the next time */
    uint64_t line_us;
    enum model_stage said; /* the stage whose beginning was logged */
};

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- saying how far it is -------------------------------------------------------------------- */

/* "41.3 % of 31.5 GiB, 112 MiB/s, 3 min left" as far as it is known. */
static void describe(const struct model_beat *b, char *out, size_t size)
{
    char bytes[HUMAN_MAX];
    char total[HUMAN_MAX];
    char rate[HUMAN_MAX];
    char left[HUMAN_MAX];
    int len;

    if (b->percent != MODEL_PERCENT_UNKNOWN)
        len =
            snprintf(out, size, "%.1f %% of %s", b->percent / 100.0, human_bytes(total, b->total));
    else
        len = snprintf(out, size, "%s so far", human_bytes(bytes, b->bytes));
    len += snprintf(out + len, size - (size_t)len, ", %s/s", human_bytes(rate, b->rate));
    if (b->remaining_s != MODEL_REMAINING_UNKNOWN)
        snprintf(out + len, size - (size_t)len, ", %s left", human_seconds(left, b->remaining_s));
}

/* The line is left at its beginning: what others write there next covers it. */
static void draw(const struct model_beat *b, const char *text)
{
    char bar[BAR_WIDTH + 1];
    size_t full = b->percent <= 10000 ? (size_t)b->percent * BAR_WIDTH / 10000 : 0;

    memset(bar, '-', BAR_WIDTH);
    memset(bar, '#', full);
    bar[BAR_WIDTH] = '\0';
    dprintf(STDOUT_FILENO, "[%s] %s\033[K\r", bar, text);
}

static void say_progress(struct run *r, const struct model_beat *b)
{
    uint64_t now = now_us();
    char text[128];

    describe(b, text, sizeof(text));
    if (r->terminal)
        draw(b, text);
    else if (now >= r->line_us) {
        log_info(r->log, "%s: %s", r->job.name, text);
        r->line_us = now + MODEL_LINE_EVERY_MS * 1000ULL;
    }
}

static void say_by(const struct run *r)
{
    const struct model_job *j = &r->job;
    char total[HUMAN_MAX];
    char bytes[HUMAN_MAX];
    const char *by = j->by == MODEL_BY_MLNODE ? "MLNode's own endpoint" : model_by_name(j->by);

    human_bytes(bytes, j->bytes);
    if (!j->ours)
        log_info(r->log, "%s is being downloaded by MLNode already: watching", j->name);
    else if (j->total > 0)
        log_info(r->log, "fetching %s by %s: %s, of which %s are here", j->name, by,
                 human_bytes(total, j->total), bytes);
    else
        log_info(r->log, "fetching %s by %s; nobody could tell how large it is, %s are here",
                 j->name, by, bytes);
}

static void say_stage(struct run *r)
{
    const struct model_job *j = &r->job;

    if (j->stage == r->said)
        return;
    r->said = j->stage;
    switch (j->stage) {
    case MODEL_STAGE_WAITING:
        log_info(r->log, "%s shall be here before it is asked for; MLNode comes first%s%s", j->name,
                 j->text[0] ? ": " : "", j->text);
        break;
    case MODEL_STAGE_DOWNLOADING:
        say_by(r);
        r->line_us = now_us() + MODEL_LINE_FIRST_MS * 1000ULL;
        break;
    case MODEL_STAGE_DONE:
        log_info(r->log, "%s is complete", j->name);
        break;
    case MODEL_STAGE_RETRYING:
        log_warn(r->log, "%s: %s. It is tried again", j->name, j->text);
        break;
    case MODEL_STAGE_FAILED:
        log_error(r->log, "%s is not fetched in advance: %s", j->name, j->text);
        break;
    case MODEL_STAGE_STOPPED:
        log_info(r->log, "%s is not fetched any further: %s", j->name, j->text);
        break;
    case MODEL_STAGE_OFF:
    case MODEL_STAGE_CHOOSING:
    case MODEL_STAGES:
        break;
    }
}

static void report(struct run *r)
{
    struct model_beat beat;

    model_job_beat(&r->job, &beat);
    /* a PID 1 that does not read now gets the next one */
    send(r->link, &beat, sizeof(beat), MSG_NOSIGNAL | MSG_DONTWAIT);
    say_stage(r);
    if (r->job.stage == MODEL_STAGE_DOWNLOADING)
        say_progress(r, &beat);
}

/* ---- the steps ------------------------------------------------------------------------------- */

static struct model_identity identity(const struct run *r)
{
    return model_node_identity(r->settings->mlnode.port);
}

/* Without the parts that nobody will take up, as far as they are still there. */
static uint64_t bytes_here(const struct run *r)
{
    uint64_t bytes = model_bytes(r->cache, r->job.name);

    return bytes > r->leftovers ? bytes - r->leftovers : 0;
}

static void measure(struct run *r)
{
    struct model_measure m = {.total = 0};
    struct model_identity who = identity(r);

    model_tools_look(r->envp, &r->tools);
    model_measure_hub(r->job.name, &r->tools, r->envp, &who, &m, &r->python);
    if (!model_cache_dir(r->envp, r->job.by, r->cache))
        r->cache[0] = '\0';
    r->leftovers = model_leftovers(r->cache, r->job.name, true);
    m.bytes = bytes_here(r);
    m.space = model_space_at(r->cache);
    model_job_measured(&r->job, &m, now_us());
}

static void fetch_by_tool(struct run *r)
{
    static const char snapshot[] = "import sys\n"
                                   "from huggingface_hub import snapshot_download\n"
                                   "snapshot_download(sys.argv[1])\n";
    const char *name = r->job.name;
    const char *const hf[] = {r->tools.hf, "download", name, NULL};
    const char *const cli[] = {r->tools.hf_cli, "download", name, NULL};
    const char *const python[] = {r->python, "-c", snapshot, name, NULL};
    const char *const *argv = r->job.by == MODEL_BY_HF       ? hf
                              : r->job.by == MODEL_BY_HF_CLI ? cli
                                                             : python;
    struct model_identity who = identity(r);

    if (model_tool_start(&r->tool, model_by_name(r->job.by), argv, r->envp, &who, r->log))
        model_job_fetching(&r->job, now_us());
    else
        model_job_end(&r->job, MODEL_STAGE_RETRYING, MODEL_FAULT_CRASHED, "no process for it");
}

static void cancel(struct run *r)
{
    if (r->job.by != MODEL_BY_MLNODE)
        model_tool_end(&r->tool);
    else if (!model_node_cancel(&r->node, r->job.name))
        log_warn(r->log, "MLNode could not be told to end its download of %s", r->job.name);
    model_job_cancelled(&r->job);
}

static void take_step(struct run *r)
{
    bool watching = r->job.stage == MODEL_STAGE_DOWNLOADING;
    enum model_says says;

    switch (r->job.step) {
    case MODEL_STEP_ASK:
        says = model_node_ask(&r->node, r->job.name, watching ? MODEL_NODE_POLL_MS : ASK_MS);
        model_job_answered(&r->job, says, r->node.detail, now_us());
        break;
    case MODEL_STEP_MEASURE:
        measure(r);
        break;
    case MODEL_STEP_ORDER:
        says = model_node_order(&r->node, r->job.name);
        model_job_ordered(&r->job, says, r->node.detail, now_us());
        break;
    case MODEL_STEP_FETCH:
        fetch_by_tool(r);
        break;
    case MODEL_STEP_CANCEL:
        cancel(r);
        break;
    case MODEL_STEP_WATCH:
    case MODEL_STEP_END:
        break;
    }
}

/* ---- what comes meanwhile -------------------------------------------------------------------- */

static void read_link(struct run *r)
{
    char name[BEAT_MODEL_MAX];

    while (recv(r->link, name, sizeof(name), MSG_DONTWAIT) == (ssize_t)sizeof(name))
        if (beat_text_ok(name, sizeof(name)))
            model_job_asked(&r->job, name);
}

static void read_tool(struct run *r)
{
    int status;

    model_tool_read(&r->tool, now_us());
    if (model_tool_ended(&r->tool, now_us(), &status))
        model_job_fetched(&r->job, status, r->tool.tail, r->tool.tail_len, bytes_here(r));
}

static void look(struct run *r)
{
    struct model_space space;

    if (r->job.stage == MODEL_STAGE_DOWNLOADING) {
        space = model_space_at(r->cache);
        model_job_progress(&r->job, bytes_here(r), &space, now_us());
    }
    report(r);
}

static bool is_due(const struct run *r)
{
    return r->job.step != MODEL_STEP_WATCH && now_us() >= r->job.due_us;
}

static void wait_a_moment(const struct run *r)
{
    struct pollfd fds[] = {{.fd = r->link, .events = POLLIN},
                           {.fd = r->tool.out, .events = POLLIN}};
    uint64_t until = r->look_us;
    uint64_t now = now_us();

    if (r->job.step != MODEL_STEP_WATCH && r->job.due_us < until)
        until = r->job.due_us;
    poll(fds, sizeof(fds) / sizeof(fds[0]), until > now ? (int)((until - now) / 1000 + 1) : 0);
}

static void work(struct run *r)
{
    while (r->job.step != MODEL_STEP_END) {
        if (is_due(r))
            take_step(r);
        if (now_us() >= r->look_us || r->job.stage != r->said) {
            look(r);
            r->look_us = now_us() + LOOK_EVERY_US;
        }
        if (r->job.step != MODEL_STEP_END)
            wait_a_moment(r);
        read_link(r);
        read_tool(r);
    }
    report(r);
    if (r->job.stage == MODEL_STAGE_DONE && r->cache[0] != '\0')
        model_leftovers(r->cache, r->job.name, true);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

/* MLNode's own variable, so that both give up at the same time. */
static unsigned stall_s(char *const *envp)
{
    const char *text = env_get(envp, "MODEL_DOWNLOAD_STALL_TIMEOUT");
    uint64_t seconds;

    return text && text_uint(text, strlen(text), UINT32_MAX, &seconds) ? (unsigned)seconds
                                                                       : MODEL_STALL_S;
}

/* What needs nobody: a path is there or not; without a network there is nothing to fetch. */
static void settle_early(struct run *r)
{
    const char *name = r->settings->name;

    switch (model_kind(name)) {
    case MODEL_KIND_NEITHER:
        model_job_end(&r->job, MODEL_STAGE_FAILED, MODEL_FAULT_NAME, NULL);
        return;
    case MODEL_KIND_PATH:
        if (access(name, F_OK) == 0)
            model_job_end(&r->job, MODEL_STAGE_DONE, MODEL_FAULT_NONE, "a path, which is there");
        else
            model_job_end(&r->job, MODEL_STAGE_FAILED, MODEL_FAULT_PATH, NULL);
        return;
    case MODEL_KIND_REPOSITORY:
        break;
    }
    if (!model_switch_is_on(r->envp, "HF_HUB_OFFLINE") &&
        !model_switch_is_on(r->envp, "TRANSFORMERS_OFFLINE"))
        return;
    if (model_cache_dir(r->envp, MODEL_BY_HF, r->cache) && model_cached(r->cache, name))
        model_job_end(
            &r->job, MODEL_STAGE_DONE, MODEL_FAULT_NONE,
            "HF_HUB_OFFLINE is set; it is in the cache, and the hub was not asked whether "
            "all of it is");
    else
        model_job_end(&r->job, MODEL_STAGE_FAILED, MODEL_FAULT_OFFLINE, NULL);
}

static char **environment(const struct model_settings *settings)
{
    struct mlnode_world world;
    struct variables list;
    char **own;

    mlnode_look(&settings->mlnode, environ, "", &world);
    own = mlnode_tool_environment(&settings->mlnode, &world, environ);
    list = variables_copy(own);
    mlnode_words_free(own);
    variables_set(&list, "HF_HUB_DISABLE_PROGRESS_BARS", "1");
    variables_set(&list, "NO_COLOR", "1");
    variables_set(&list, "PYTHONUNBUFFERED", "1");
    return list.items;
}

int model_main(void *ctx, int link)
{
    const struct model_settings *settings = ctx;
    struct run r = {.settings = settings, .link = link, .tool = {.out = -1}, .said = MODEL_STAGES};
    char why[256];
    int status;

    r.log = log_new(STDOUT_FILENO, "model", settings->log_level, settings->mlnode.log_format);
    r.terminal = isatty(STDOUT_FILENO) && settings->mlnode.log_format == LOG_TEXT;
    r.envp = environment(settings);
    r.node = (struct model_node){
        .host = settings->mlnode.host, .port = settings->mlnode.port, .envp = r.envp};
    model_job_init(&r.job, settings->name, stall_s(r.envp), now_us());
    settle_early(&r);
    if (r.job.step != MODEL_STEP_END &&
        file_make_dir(settings->mlnode.hf_home, 0755, why, sizeof(why)) != 0)
        log_warn(r.log, "HF_HOME: %s", why);
    work(&r);
    status = model_job_status(&r.job);
    mlnode_words_free(r.envp);
    log_free(r.log);
    return status;
}

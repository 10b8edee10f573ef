/* A tool as a child process. What it says is kept for the reason of a failure, and passed on to the
 * log line by line: escaped, one a second, without secrets. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/env.h"
#include "container/child.h"
#include "container/model_internal.h"

enum {
    SHOWN_MAX = 300, /* of a line in the log */
    END_MS = 1000,   /* from TERM to KILL: it may write its last bytes */
    LOOK_AGAIN_MS = 20,
    EXIT_NOT_STARTED = 127,
};

/* ---- secrets --------------------------------------------------------------------------------- */

/* The tokens, and what stands before the host of a mirror (https://user:password@mirror). The
 * length; 0: it is not set. */
static size_t secret(char *const *envp, size_t which, const char **at)
{
    static const char *const names[MODEL_TOOL_SECRETS] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
                                                          "HUGGINGFACE_TOKEN", "HF_ENDPOINT"};
    const char *value = env_get(envp, names[which]);

    *at = value;
    if (value == NULL || which < MODEL_TOOL_SECRETS - 1)
        return value ? strlen(value) : 0;
    value = strstr(value, "://");
    if (value == NULL || value[3 + strcspn(value + 3, "@/")] != '@')
        return 0;
    *at = value + 3;
    return strcspn(value + 3, "@");
}

void model_hide_secrets(char *const *envp, char *text, size_t len)
{
    for (size_t i = 0; i < MODEL_TOOL_SECRETS; i++) {
        const char *what;
        size_t size = secret(envp, i, &what);
        const char *end = text + len;
        char *at = text;

        /* on from there: a secret may itself be of stars */
        while (size > 0 && (at = memmem(at, (size_t)(end - at), what, size)) != NULL) {
            memset(at, '*', size);
            at += size;
        }
    }
}

/* Of a line that was cut: its end may be the beginning of one. */
static size_t without_beginnings(const struct model_tool *t)
{
    size_t longest = 0;

    for (size_t i = 0; i < MODEL_TOOL_SECRETS; i++) {
        const char *what;
        size_t size = secret(t->envp, i, &what);

        longest = size > longest ? size : longest;
    }
    return longest < t->line_len ? t->line_len - longest : 0;
}

/* ---- what it says ---------------------------------------------------------------------------- */

static void say_line(struct model_tool *t, uint64_t now_us)
{
    char shown[SHOWN_MAX];
    char more[LOG_HELD_MAX];
    size_t len = t->cut ? without_beginnings(t) : t->line_len;

    model_hide_secrets(t->envp, t->line, t->line_len);
    t->line_len = 0;
    t->cut = false;
    if (t->log == NULL || len == 0 || !log_gate(&t->gates, &t->gate, t->log, now_us, more))
        return;
    log_safe(shown, sizeof(shown), t->line, len);
    log_info(t->log, "%s: %s%s", t->name, shown, more);
}

static void keep(struct model_tool *t, const char *data, size_t len)
{
    size_t over;

    if (len > sizeof(t->tail)) {
        data += len - sizeof(t->tail);
        len = sizeof(t->tail);
    }
    over = t->tail_len + len > sizeof(t->tail) ? t->tail_len + len - sizeof(t->tail) : 0;
    memmove(t->tail, t->tail + over, t->tail_len - over);
    t->tail_len -= over;
    memcpy(t->tail + t->tail_len, data, len);
    t->tail_len += len;
}

static void hear(struct model_tool *t, const char *data, size_t len, uint64_t now_us)
{
    keep(t, data, len);
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n' || data[i] == '\r')
            say_line(t, now_us);
        else if (t->line_len < sizeof(t->line))
            t->line[t->line_len++] = data[i];
        else
            t->cut = true;
    }
}

void model_tool_read(struct model_tool *t, uint64_t now_us)
{
    char data[4096];
    ssize_t n = 1;

    for (int i = 0; i < MODEL_TOOL_READS && t->out >= 0 && n > 0; i++) {
        n = read(t->out, data, sizeof(data));
        if (n > 0)
            hear(t, data, (size_t)n, now_us);
    }
    if (n == 0) { /* it closed both */
        close(t->out);
        t->out = -1;
    }
}

/* ---- its life -------------------------------------------------------------------------------- */

static void become(const char *const *argv, char *const *envp, const struct model_identity *who,
                   int out, pid_t parent)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (nothing >= 0)
        dup2(nothing, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    if (who->change &&
        (setgroups(0, NULL) != 0 || setgid(who->gid) != 0 || setuid(who->uid) != 0)) {
        dprintf(STDERR_FILENO, "cannot become MLNode's user %u: %m\n", (unsigned)who->uid);
        _exit(EXIT_NOT_STARTED);
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* after that: the kernel forgets it when the user changes */
    if (getppid() != parent)
        _exit(EXIT_NOT_STARTED);
    execve(argv[0], (char *const *)(uintptr_t)argv, envp);
    dprintf(STDERR_FILENO, "cannot execute %s: %m\n", argv[0]);
    _exit(EXIT_NOT_STARTED);
}

bool model_tool_start(struct model_tool *t, const char *name, const char *const *argv,
                      char *const *envp, const struct model_identity *who, struct log *log)
{
    pid_t self = getpid();
    int ends[2];

    *t = (struct model_tool){.out = -1, .log = log, .name = name, .envp = envp};
    t->gate = (struct log_gate){
        .what = "what the tool said", .level = LOG_INFO, .burst = MODEL_TOOL_BURST};
    log_gates_init(&t->gates);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    t->pid = fork();
    if (t->pid == 0)
        become(argv, envp, who, ends[1], self);
    close(ends[1]);
    if (t->pid < 0) {
        close(ends[0]);
        t->pid = 0;
        return false;
    }
    t->out = ends[0];
    return true;
}

static void ended(struct model_tool *t, uint64_t now_us)
{
    t->pid = 0;
    model_tool_read(t, now_us);
    if (t->line_len > 0)
        say_line(t, now_us);
    log_gate_end(&t->gate);
    if (t->out >= 0) /* somebody whom it left behind may hold the other end */
        close(t->out);
    t->out = -1;
}

bool model_tool_ended(struct model_tool *t, uint64_t now_us, int *status)
{
    int wait_status;

    if (t->pid <= 0 || waitpid(t->pid, &wait_status, WNOHANG) != t->pid)
        return false;
    *status = child_status(wait_status);
    ended(t, now_us);
    return true;
}

void model_tool_end(struct model_tool *t)
{
    int status;

    if (t->pid <= 0)
        return;
    kill(t->pid, SIGTERM);
    for (int ms = 0; ms < END_MS; ms += LOOK_AGAIN_MS) {
        if (model_tool_ended(t, 0, &status))
            return;
        poll(NULL, 0, LOOK_AGAIN_MS);
    }
    kill(t->pid, SIGKILL);
    while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    ended(t, 0);
}

#include "cli/demo_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum {
    READ_SIZE = 4096,
    EXIT_NOT_STARTED = 127, /* as a shell says it */
};

static const char self[] = "/proc/self/exe";

struct process {
    const char *name;
    const struct process_events *events;
    void *ctx;
    pid_t pid;
    int status; /* of waitpid, once reaped */
    bool reaped;
    bool silent; /* its end of the pipe is closed */
    bool told;
    int log_fd;
    uv_signal_t reaper;
    uv_pipe_t output;
    unsigned open_handles;
    size_t line_len;
    size_t n_lines; /* ever */
    char line[PROCESS_LINE_MAX];
    char kept[PROCESS_LINES_KEPT][PROCESS_LINE_MAX]; /* a ring, printable */
    char buffer[READ_SIZE];
};

/* ---- the child's side ------------------------------------------------------------------------ */

/* By its path, so that the process has its name in ps; by the link when the file was moved away
 * since. Returns only when neither works. */
static void execute(const struct process_spec *spec)
{
    char *const *argv = (char *const *)(uintptr_t)spec->argv;
    char path[PATH_MAX];
    ssize_t len = readlink(self, path, sizeof(path) - 1);

    if (len > 0) {
        path[len] = '\0';
        execve(path, argv, spec->envp);
    }
    execve(self, argv, spec->envp);
}

/* Between fork and exec, in a process without other threads: nobody holds a lock. */
static _Noreturn void become(const struct process_spec *spec, int output, pid_t parent)
{
    sigset_t none;
    int nothing = open("/dev/null", O_RDONLY);

    /* SIGKILL, because the parent that could insist after a SIGTERM is gone then */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_NOT_STARTED);
    setpgid(0, 0); /* Ctrl-C is for the parent, which stops the children in order */
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(nothing, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    close_range(STDERR_FILENO + 1, UINT_MAX, 0);
    execute(spec);
    dprintf(STDERR_FILENO, "cannot execute %s: %s\n", self, strerror(errno));
    _exit(EXIT_NOT_STARTED);
}

static pid_t fork_child(const struct process_spec *spec, int output)
{
    pid_t parent = getpid();
    sigset_t all;
    sigset_t before;
    pid_t pid;

    /* a handler of the loop that ran in the child would write into the parent's signal pipe */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        become(spec, output, parent);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

/* ---- its end --------------------------------------------------------------------------------- */

static void tell_end(struct process *p)
{
    if (!p->reaped || !p->silent || p->told)
        return;
    p->told = true;
    p->events->ended(p->ctx, p);
}

static void reap(struct process *p)
{
    if (p->reaped || waitpid(p->pid, &p->status, WNOHANG) != p->pid)
        return;
    p->reaped = true;
    uv_signal_stop(&p->reaper);
    tell_end(p);
}

static void some_child_ended(uv_signal_t *handle, int number)
{
    reap(handle->data);
}

/* ---- what it says ---------------------------------------------------------------------------- */

static void close_log(struct process *p)
{
    if (p->log_fd >= 0)
        close(p->log_fd);
    p->log_fd = -1;
}

static void end_line(struct process *p)
{
    p->line[p->line_len] = '\0';
    log_safe(p->kept[p->n_lines++ % PROCESS_LINES_KEPT], PROCESS_LINE_MAX, p->line, p->line_len);
    p->line_len = 0;
    p->events->line(p->ctx, p, p->line);
}

static void take_output(struct process *p, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n')
            end_line(p);
        else if (p->line_len < sizeof(p->line) - 1)
            p->line[p->line_len++] = data[i];
    }
}

/* A full disk costs the file, not the demo. */
static void keep_output(struct process *p, const char *data, size_t len)
{
    if (p->log_fd >= 0 && write(p->log_fd, data, len) != (ssize_t)len)
        close_log(p);
}

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct process *p = handle->data;

    *buf = uv_buf_init(p->buffer, sizeof(p->buffer));
}

static void output_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct process *p = stream->data;

    if (n > 0) {
        keep_output(p, buf->base, (size_t)n);
        take_output(p, buf->base, (size_t)n);
    } else if (n < 0) {
        if (p->line_len > 0)
            end_line(p);
        uv_read_stop(stream);
        p->silent = true;
        tell_end(p);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static void handle_closed(uv_handle_t *handle)
{
    struct process *p = handle->data;

    if (--p->open_handles > 0)
        return;
    close_log(p);
    mem_free(p);
}

void process_free(struct process *p)
{
    if (p == NULL)
        return;
    uv_close((uv_handle_t *)&p->reaper, handle_closed);
    uv_close((uv_handle_t *)&p->output, handle_closed);
}

static struct process *process_new(uv_loop_t *loop, const struct process_spec *spec,
                                   const struct process_events *events, void *ctx)
{
    struct process *p = mem_zalloc(sizeof(*p));

    p->name = spec->name;
    p->events = events;
    p->ctx = ctx;
    uv_signal_init(loop, &p->reaper);
    p->reaper.data = p;
    uv_pipe_init(loop, &p->output, 0);
    p->output.data = p;
    p->open_handles = 2;
    p->log_fd = open(spec->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return p;
}

static bool launch(struct process *p, const struct process_spec *spec)
{
    int ends[2];

    if (p->log_fd < 0 || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    uv_pipe_open(&p->output, ends[0]);
    uv_read_start((uv_stream_t *)&p->output, lend_buffer, output_read);
    uv_signal_start(&p->reaper, some_child_ended, SIGCHLD); /* before there is a child to miss */
    p->pid = fork_child(spec, ends[1]);
    close(ends[1]);
    return p->pid > 0;
}

struct process *process_start(uv_loop_t *loop, const struct process_spec *spec,
                              const struct process_events *events, void *ctx, char *why,
                              size_t why_size)
{
    struct process *p = process_new(loop, spec, events, ctx);

    if (launch(p, spec))
        return p;
    snprintf(why, why_size, "cannot start the %s: %s", spec->name, strerror(errno));
    process_free(p);
    return NULL;
}

void process_signal(struct process *p, int number)
{
    if (!p->reaped)
        kill(p->pid, number);
}

/* ---- questions ------------------------------------------------------------------------------- */

const char *process_name(const struct process *p)
{
    return p->name;
}

int process_pid(const struct process *p)
{
    return p->pid;
}

bool process_alive(const struct process *p)
{
    return !p->told;
}

bool process_ended_well(const struct process *p)
{
    return p->reaped && WIFEXITED(p->status) && WEXITSTATUS(p->status) == 0;
}

void process_fate(const struct process *p, char *out, size_t size)
{
    if (!p->reaped)
        snprintf(out, size, "is running");
    else if (WIFSIGNALED(p->status))
        snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(p->status),
                 strsignal(WTERMSIG(p->status)));
    else
        snprintf(out, size, "ended with status %d", WEXITSTATUS(p->status));
}

size_t process_resident(const struct process *p)
{
    char path[40];
    char line[128];
    size_t kib = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", p->pid);
    f = fopen(path, "re");
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "VmRSS: %zu", &kib) == 1)
            break;
    fclose(f);
    return kib * 1024;
}

void process_print_lines(const struct process *p, FILE *out)
{
    size_t from = p->n_lines > PROCESS_LINES_KEPT ? p->n_lines - PROCESS_LINES_KEPT : 0;

    if (p->n_lines > 0)
        fprintf(out, "  the last lines of the %s:\n", p->name);
    for (size_t i = from; i < p->n_lines; i++)
        fprintf(out, "    %s\n", p->kept[i % PROCESS_LINES_KEPT]);
}

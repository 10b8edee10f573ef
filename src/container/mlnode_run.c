/* The steps: upstream's script is tried, what it needs is prepared, MLNode is executed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/file.h"
#include "container/mlnode.h"
#include "container/mlnode_internal.h"

enum {
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127,
    LOOK_AGAIN_MS = 20,
};

extern char **environ;

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- trying the script ----------------------------------------------------------------------- */

/* What a program said, of which the last line is kept. */
struct said {
    char line[MLNODE_SAID_MAX];
    size_t len;
    bool ended; /* the next letter begins a new line */
};

static void hear(struct said *said, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n') {
            said->ended = true;
            continue;
        }
        if (said->ended)
            said->len = 0;
        said->ended = false;
        if (said->len < sizeof(said->line))
            said->line[said->len++] = text[i];
    }
}

/* Takes what is there to read. */
static void hear_all(int fd, struct said *said)
{
    char text[512];
    ssize_t n;

    while ((n = read(fd, text, sizeof(text))) > 0)
        hear(said, text, (size_t)n);
}

/* Listens until the process has ended and returns its wait status; -1 when it takes longer than
 * MLNODE_SCRIPT_MS. The pipe alone would not tell: the script may leave somebody behind who holds
 * it, and may close it itself. */
static int hear_to_the_end(pid_t pid, int fd, struct said *said)
{
    int64_t until = now_ms() + MLNODE_SCRIPT_MS;

    while (now_ms() < until) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int status;

        if (waitpid(pid, &status, WNOHANG) == pid) {
            hear_all(fd, said);
            return status;
        }
        if (poll(&poll_fd, 1, LOOK_AGAIN_MS) > 0 && (poll_fd.revents & POLLIN) == 0)
            poll(NULL, 0, LOOK_AGAIN_MS);
        hear_all(fd, said);
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return -1;
}

static void execute_trial(char *const *envp, int out)
{
    char script[] = MLNODE_SCRIPT;
    char word[] = "true";
    char *const argv[] = {script, word, NULL};

    setpgid(0, 0);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    if (chdir("/app") != 0)
        dprintf(STDERR_FILENO, "cannot enter /app: %m");
    execve(script, argv, envp);
    dprintf(STDERR_FILENO, "cannot be executed: %m");
    _exit(EXIT_NOT_EXECUTABLE);
}

/* The trial's wait status, or -1 when there was none or it took too long. */
static int try_with(char *const *envp, struct said *said)
{
    int ends[2];
    int status = -1;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    pid = fork();
    if (pid == 0)
        execute_trial(envp, ends[1]);
    close(ends[1]);
    if (pid > 0) {
        setpgid(pid, pid);
        status = hear_to_the_end(pid, ends[0], said);
        /* What it left running would be there twice after the real start. */
        kill(-pid, SIGKILL);
    }
    close(ends[0]);
    return status;
}

static void describe(int status, const struct said *said, char out[MLNODE_SAID_MAX])
{
    char line[MLNODE_SAID_MAX / 2];

    log_safe(line, sizeof(line), said->line, said->len);
    if (status < 0)
        snprintf(out, MLNODE_SAID_MAX, "no end within %d s%s%s", MLNODE_SCRIPT_MS / 1000,
                 line[0] ? ", it said: " : "", line);
    else
        snprintf(out, MLNODE_SAID_MAX, "%s", line[0] ? line : "it said nothing");
}

void mlnode_try_script(const struct mlnode_settings *settings, char *const *environ_list,
                       struct mlnode_world *world)
{
    struct mlnode_start start;
    struct said said = {.len = 0};
    int status;

    if (world->script != MLNODE_SCRIPT_UNTRIED)
        return;
    start = mlnode_decide(settings, world, environ_list);
    if (start.way == MLNODE_ENTRYPOINT) {
        status = try_with(start.envp, &said);
        world->script = status == 0 ? MLNODE_SCRIPT_WORKS : MLNODE_SCRIPT_FAILS;
        describe(status, &said, world->script_said);
    }
    mlnode_start_free(&start);
}

/* ---- the real start -------------------------------------------------------------------------- */

bool mlnode_present(const struct mlnode_settings *settings, struct log *log)
{
    struct mlnode_world world;
    struct mlnode_start start;
    bool present;

    mlnode_look(settings, environ, "", &world);
    start = mlnode_decide(settings, &world, environ);
    present = start.argv != NULL;
    if (start.way == MLNODE_NONE)
        log_error(log, "%s The tunnel is up all the same, and the gateway answers 503.", start.why);
    else if (!present)
        log_info(log, "%s", start.why);
    mlnode_start_free(&start);
    return present;
}

/* Nothing here keeps MLNode from being started: it may know better, and its own message says more.
 */
static void prepare(const struct mlnode_settings *settings, const struct mlnode_start *start,
                    struct log *log)
{
    char why[256];

    /* Others may read it: MLNODE_COMMAND may give up root, and on a host's disk there are users. */
    if (file_make_dir(settings->hf_home, 0755, why, sizeof(why)) != 0)
        log_warn(log, "HF_HOME: %s", why);
    if (start->link_from && symlink(start->link_to, start->link_from) != 0 && errno != EEXIST)
        log_warn(log, "no link %s to %s (%m): what links against -lcuda does not find it",
                 start->link_from, start->link_to);
    if (chdir(start->cwd) != 0)
        log_warn(log, "cannot enter %s: %m", start->cwd);
}

static int execute(const struct mlnode_start *start, struct log *log)
{
    /* execvpe looks through this process's PATH, and MLNode's is to count. */
    environ = start->envp;
    execvp(start->argv[0], start->argv);
    log_error(log, "cannot execute %s: %m", start->argv[0]);
    return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

int mlnode_main(void *ctx, int link)
{
    const struct mlnode_settings *settings = ctx;
    struct log *log = log_new(STDOUT_FILENO, "mlnode", LOG_INFO, settings->log_format);
    char *const *inherited = environ;
    struct mlnode_world world;
    struct mlnode_start start;

    mlnode_look(settings, inherited, "", &world);
    mlnode_try_script(settings, inherited, &world);
    start = mlnode_decide(settings, &world, inherited);
    if (start.argv == NULL) {
        log_error(log, "%s", start.why);
        return EXIT_NOT_FOUND;
    }
    log_info(log, "%s", start.why);
    prepare(settings, &start, log);
    return execute(&start, log);
}

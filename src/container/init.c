#include "container/init_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "container/announce.h"
#include "container/health.h"
#include "container/sandbox.h"
#include "container/shim.h"

enum {
    /* Often enough to know that we were not frozen (PLAN_FROZEN_US). */
    TURN_MS = 1000,
    /* Until the door is tried again where no descriptor was free. */
    DOOR_REST_MS = 250,
    RECORDS_A_TURN = 64,
};

/* ---- starting -------------------------------------------------------------------------------- */

static int run_shim(void *ctx, int link)
{
    struct init *in = ctx;
    struct log *log = log_child(in->cfg->log, "mlnode"); /* on `link` */
    int status;

    sweep_mark_this(&in->sweep);
    status = shim_run(&in->cfg->node, -1, in->cfg->node_is_ours ? link : -1, log);
    log_free(log);
    return status;
}

static pid_t start_node(struct init *in)
{
    const struct child_program shim = {.name = "mlgate-shim", .main = run_shim, .ctx = in};
    const struct child_surroundings around = {
        .link = in->cfg->output, .output = -1, .when_gone = SIGUSR1};

    return child_start(&shim, &around);
}

static pid_t start_worker(struct init *in)
{
    struct child_surroundings around = {
        .keep = in->cfg->worker_keeps, .output = in->cfg->output, .when_gone = SIGKILL};
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return -1;
    around.link = ends[1];
    pid = child_start(&in->cfg->worker, &around);
    close(ends[1]);
    if (pid < 0)
        close(ends[0]);
    else
        in->link = ends[0];
    in->bad_record_said = false;
    in->told_us = 0;
    return pid;
}

static pid_t start_child(struct init *in, enum plan_child child)
{
    if (child == PLAN_WORKER)
        return start_worker(in);
    if (child == PLAN_NODE)
        return start_node(in);
    return model_link_start(&in->model, &in->model_program, in->cfg->output,
                            log_format(in->cfg->log));
}

static void start(struct init *in, enum plan_child child)
{
    pid_t pid = start_child(in, child);

    in->kills[child] = 0;
    in->why[child] = FACTS_WHY_ENDED;
    if (pid > 0) {
        in->pid[child] = pid;
        log_info(in->cfg->log, "%s started, process %d", announce_name(child), (int)pid);
        return;
    }
    log_error(in->cfg->log, "%s cannot be started: %s", announce_name(child), strerror(errno));
    init_note_end(in, child, FACTS_WHY_NOT_STARTED, W_EXITCODE(1, 0));
    plan_exited(&in->plan, child, 1, init_now_us());
}

/* ---- what the plan asks for ------------------------------------------------------------------ */

static void order(struct init *in, enum beat_order what)
{
    char byte = (char)what;

    if (in->link >= 0 && send(in->link, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
        log_warn(in->cfg->log, "the worker takes no orders: %s", strerror(errno));
}

/* A shim kills everything below itself; one that does not is killed like anybody else. */
static void kill_child(struct init *in, enum plan_child child)
{
    bool first = in->kills[child]++ == 0;

    if (in->pid[child] > 0)
        kill(in->pid[child], child != PLAN_WORKER && first ? SIGUSR1 : SIGKILL);
}

static void term_child(struct init *in, enum plan_child child)
{
    if (in->pid[child] <= 0)
        return;
    log_info(in->cfg->log, "asking %s to end", announce_name(child));
    kill(in->pid[child], SIGTERM);
}

static void leave(struct init *in, int status)
{
    in->over = true;
    in->status = status;
}

static void act(struct init *in, const struct plan_action *a)
{
    switch (a->what) {
    case PLAN_START:
        start(in, a->child);
        break;
    case PLAN_TERM:
        term_child(in, a->child);
        break;
    case PLAN_KILL:
        kill_child(in, a->child);
        break;
    case PLAN_ABANDON:
        log_error(in->cfg->log, "%s was killed and does not end; leaving it",
                  announce_name(a->child));
        kill_child(in, a->child);
        break;
    case PLAN_DRAIN:
        log_info(in->cfg->log, "stopping: new requests are refused, answers may finish for %d s",
                 in->cfg->grace_s);
        order(in, ORDER_DRAIN);
        break;
    case PLAN_CUT:
        if (in->plan.beat.exchanges > 0)
            log_warn(in->cfg->log, "stopping: %" PRIu32 " answers did not finish and are cut",
                     in->plan.beat.exchanges);
        order(in, ORDER_CUT);
        break;
    case PLAN_EXIT:
        leave(in, a->status);
        break;
    case PLAN_SAY_NO_BEAT:
    case PLAN_SAY_GIVEN_UP:
        in->why[a->child] = a->what == PLAN_SAY_NO_BEAT ? FACTS_WHY_NO_BEAT : FACTS_WHY_SILENT;
        announce(in->cfg->log, a);
        break;
    default:
        announce(in->cfg->log, a);
        break;
    }
}

/* After each event: the plan keeps no more than one event's actions. */
static void act_all(struct init *in)
{
    struct plan_action a;

    while (plan_take(&in->plan, &a))
        act(in, &a);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void sweep_ended(struct init *in, bool all)
{
    in->sweep.pid = 0;
    if (!all)
        log_error(in->cfg->log, "processes of MLNode do not end although they were killed");
    plan_exited(&in->plan, PLAN_NODE, in->node_status, init_now_us());
    act_all(in);
}

static void watch_sweep(struct init *in)
{
    if (sweep_overdue(&in->sweep, init_now_us()))
        sweep_ended(in, false);
}

static void child_ended(struct init *in, enum plan_child child, int wait_status)
{
    char fate[64];

    in->pid[child] = 0;
    init_note_end(in, child, in->why[child], wait_status);
    child_fate(wait_status, fate, sizeof(fate));
    if (child == PLAN_MODEL)
        model_link_ended(&in->model, in->cfg->log);
    if (in->plan.phase == PHASE_SERVE && (child != PLAN_MODEL || wait_status != 0))
        log_warn(in->cfg->log, "%s %s", announce_name(child), fate);
    else
        log_info(in->cfg->log, "%s %s", announce_name(child), fate);
    if (child == PLAN_WORKER && child_status(wait_status) == SANDBOX_TRAPPED)
        log_error(in->cfg->log, "the worker tried a system call that its sandbox forbids: a defect "
                                "of mlgate, or somebody had taken it over");
    if (child == PLAN_WORKER && in->link >= 0) {
        close(in->link);
        in->link = -1;
    }
    if (child == PLAN_NODE && WIFSIGNALED(wait_status) &&
        sweep_start(&in->sweep, in->cfg->output, init_now_us()))
        in->node_status = child_status(wait_status);
    else
        plan_exited(&in->plan, child, child_status(wait_status), init_now_us());
    act_all(in);
}

static void reap(struct init *in)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < PLAN_CHILDREN; i++)
            if (pid == in->pid[i])
                child_ended(in, (enum plan_child)i, status);
        if (pid == in->sweep.pid)
            sweep_ended(in, status == 0);
        if (in->cfg->reaped != NULL)
            in->cfg->reaped(in->cfg->reaped_ctx, pid);
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

static void read_signals(struct init *in)
{
    struct signalfd_siginfo s;

    while (read(in->signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
        if (s.ssi_signo == SIGCHLD)
            continue; /* many may stand behind one: reap looks */
        log_info(in->cfg->log, "SIG%s received", sigabbrev_np((int)s.ssi_signo));
        plan_stop(&in->plan, init_now_us());
        act_all(in);
    }
}

static void read_records(struct init *in)
{
    char data[sizeof(struct beat) + 1]; /* a record that is too long must show */
    struct beat beat;

    for (int i = 0; i < RECORDS_A_TURN && in->link >= 0; i++) {
        ssize_t n = recv(in->link, data, sizeof(data), MSG_DONTWAIT);

        if (n < 0 && errno != ECONNRESET)
            return;
        if (n <= 0) {
            close(in->link);
            in->link = -1;
        } else if (beat_read(data, (size_t)n, &beat)) {
            model_link_tell(&in->model, beat.asked_model);
            plan_beat(&in->plan, &beat, init_now_us());
            act_all(in);
        } else if (!in->bad_record_said) {
            in->bad_record_said = true;
            log_error(in->cfg->log, "the worker sent something that is no record; not believed");
        }
    }
}

static int patience(const struct init *in)
{
    uint64_t due = plan_due(&in->plan);
    uint64_t now = init_now_us();
    uint64_t ms = due <= now ? 0 : (due - now) / 1000 + 1;

    uint64_t most = in->door_rests ? DOOR_REST_MS : TURN_MS;

    return (int)(ms < most ? ms : most);
}

static void turn(struct init *in)
{
    struct pollfd fds[] = {{.fd = in->signals, .events = POLLIN},
                           {.fd = in->link, .events = POLLIN},
                           {.fd = in->model.fd, .events = POLLIN},
                           {.fd = in->door_rests ? -1 : in->door.fd, .events = POLLIN}};

    poll(fds, sizeof(fds) / sizeof(fds[0]), patience(in));
    read_signals(in);
    read_records(in);
    model_link_read(&in->model, in->cfg->log);
    reap(in);
    watch_sweep(in);
    init_answer_health(in);
    plan_tick(&in->plan, init_now_us());
    act_all(in);
    if (in->cfg->turned)
        in->cfg->turned(in->cfg->turned_ctx, init_now_us());
    init_tell_facts(in);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* SIGHUP: a terminal that goes away takes what it started along, unless told otherwise (nohup). */
static void choose_signals(sigset_t *set)
{
    static const int numbers[] = {SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP};
    struct sigaction hangup;

    sigemptyset(set);
    sigaction(SIGHUP, NULL, &hangup);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (numbers[i] != SIGHUP || hangup.sa_handler != SIG_IGN)
            sigaddset(set, numbers[i]);
}

void init_hold_signals(void)
{
    sigset_t set;

    choose_signals(&set);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* inherited as ignored, it would reap for us and tell nobody */
    sigprocmask(SIG_BLOCK, &set, NULL);
}

int init_run(const struct init_config *cfg)
{
    struct init in = {.cfg = cfg,
                      .link = -1,
                      .door = {.fd = -1},
                      .status = 1,
                      .model = {.fd = -1, .last = cfg->model_said},
                      .model_program = cfg->model};
    sigset_t set;

    choose_signals(&set);
    in.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (in.signals < 0) {
        log_error(cfg->log, "no signalfd: %s", strerror(errno));
        return 1;
    }
    if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        log_warn(cfg->log, "orphans cannot be reaped here: %s", strerror(errno));
    sweep_init(&in.sweep, init_now_us());
    in.facts.magic = FACTS_MAGIC;
    in.facts.started_s = (int64_t)time(NULL);
    health_open(&in.door, cfg->directory, cfg->log);
    plan_init(&in.plan, (uint64_t)cfg->grace_s * 1000000, cfg->node.main != NULL,
              cfg->model.main != NULL, init_now_us());
    while (!in.over)
        turn(&in);
    door_close(&in.door);
    close(in.signals);
    log_info(cfg->log, "stopped with status %d", in.status);
    return in.status;
}

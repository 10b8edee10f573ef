/* PID 1's loop with children that the tests play: functions that run in real processes. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "container/beat.h"
#include "container/facts.h"
#include "container/init.h"
#include "container/model_link.h"
#include "container/sandbox.h"

enum { ENOUGH = 30 }; /* seconds: only against hanging */

struct run {
    int (*worker)(void *ctx, int link);
    int (*node)(void *ctx, int link);
    int (*model)(void *ctx, int link); /* where it is, the run stops once it is gone */
    int grace_s;
    bool early; /* stopped before anybody runs; otherwise by the node, or else by the worker */
    int status; /* other than 0: it ends unasked */
    int log;    /* a descriptor; 0: none */
    int kept;   /* the same, for the worker */
    int seen;   /* the same: gets the facts when the model is gone */
};

/* ---- children -------------------------------------------------------------------------------- */

static void send_beat(int link, bool draining, unsigned exchanges)
{
    const struct beat beat = {.magic = BEAT_MAGIC, .draining = draining, .exchanges = exchanges};

    send(link, &beat, sizeof(beat), MSG_NOSIGNAL);
}

static pid_t supervisor;

/* Everything is as the test wants it: now it is stopped. */
static void all_set(void *ctx)
{
    if (ctx != NULL)
        kill(supervisor, SIGTERM);
}

static int for_ever(void)
{
    while (pause() != 0)
        ;
    return 0;
}

/* Sends records until it is told otherwise, and leaves when it is asked to. */
static int good(void *ctx, int link)
{
    char told[sizeof(struct facts) + 1];
    bool draining = false;

    all_set(ctx);
    while (usleep(10000) == 0) {
        send_beat(link, draining, 0);
        if (recv(link, told, sizeof(told), MSG_DONTWAIT) == 1)
            draining = told[0] == ORDER_DRAIN || draining;
    }
    return 0;
}

enum { SHORT_LIFE = 3 /* an exit status */ };

/* Ends at once when it is the first; the next one passes on what it is told of that, by the
 * descriptor that is kept for it, and is done. */
static int heir(void *ctx, int link)
{
    const struct run *run = ctx;
    char told[sizeof(struct facts) + 1];
    struct facts f = {0};

    fcntl(link, F_SETFL, 0);
    send_beat(link, false, 0);
    while (!facts_read(told, (size_t)recv(link, told, sizeof(told), 0), &f))
        ;
    if (f.child[PLAN_WORKER].starts == 1)
        return SHORT_LIFE;
    if (write(run->kept, &f, sizeof(f)) == (ssize_t)sizeof(f))
        all_set(ctx);
    signal(SIGTERM, SIG_IGN);
    return good(NULL, link);
}

static int stubborn(void *ctx, int link)
{
    signal(SIGTERM, SIG_IGN);
    return good(ctx, link);
}

static int unusable(void *ctx, int link)
{
    return 2;
}

/* As fast as it can: garbage of every length, and records with values that are none. */
static int babbler(void *ctx, int link)
{
    const struct beat beat = {.magic = BEAT_MAGIC, .manner = 200};
    char garbage[256];
    ssize_t n = 0;

    fcntl(link, F_SETFL, 0);
    for (unsigned i = 0; n >= 0; i++) {
        if (i == 1000)
            all_set(ctx);
        memset(garbage, (int)i, sizeof(garbage));
        n = send(link, garbage, 1 + i % (sizeof(garbage) - 1), MSG_NOSIGNAL);
        n = n >= 0 ? send(link, &beat, sizeof(beat), MSG_NOSIGNAL) : n;
    }
    return 0;
}

/* Believable records that contradict each other, as fast as it can. */
static int liar(void *ctx, int link)
{
    struct beat beat = {.magic = BEAT_MAGIC, .manner = MANNER_SILENT};
    ssize_t n = 0;

    fcntl(link, F_SETFL, 0);
    for (unsigned i = 0; n >= 0; i++) {
        if (i == 1000)
            all_set(ctx);
        beat.manner = beat.manner == MANNER_SILENT ? MANNER_ANSWERS : MANNER_SILENT;
        beat.draining = i % 3 == 0;
        beat.exchanges = i;
        n = send(link, &beat, sizeof(beat), MSG_NOSIGNAL);
    }
    return 0;
}

/* Closes its end and lives on. */
static int mute(void *ctx, int link)
{
    close(link);
    all_set(ctx);
    return for_ever();
}

static int sleeper(void *ctx, int link)
{
    all_set(ctx);
    return for_ever();
}

/* As after a forbidden system call. */
static int trapped(void *ctx, int link)
{
    signal(SIGTERM, SIG_IGN);
    all_set(ctx);
    return SANDBOX_TRAPPED;
}

/* A whole family, each in a session of its own, that no TERM ends. */
static int dynasty(void *ctx, int link)
{
    signal(SIGTERM, SIG_IGN);
    for (int i = 0; i < 5; i++) {
        if (fork() != 0)
            return for_ever();
        setsid();
    }
    all_set(ctx);
    return for_ever();
}

/* The preparation of a model that is done at once. */
static int preparer(void *ctx, int link)
{
    const struct model_beat beat = {
        .magic = MODEL_BEAT_MAGIC, .stage = MODEL_STAGE_DONE, .percent = 10000, .name = "org/name"};

    send(link, "no record", 9, MSG_NOSIGNAL);
    send(link, &beat, sizeof(beat), MSG_NOSIGNAL);
    return 0;
}

/* … and one that is told which model was asked for, and says so as its own name. */
static int listener(void *ctx, int link)
{
    struct model_beat beat = {.magic = MODEL_BEAT_MAGIC, .stage = MODEL_STAGE_STOPPED};

    fcntl(link, F_SETFL, 0);
    if (recv(link, beat.name, sizeof(beat.name), 0) != (ssize_t)sizeof(beat.name))
        return 1;
    send(link, &beat, sizeof(beat), MSG_NOSIGNAL);
    return 0;
}

/* A worker that heard inference/up, and forgot it: as one that was started again. */
static int hearer(void *ctx, int link)
{
    struct beat beat = {.magic = BEAT_MAGIC, .asked_model = "org/asked"};
    char order;

    send(link, &beat, sizeof(beat), MSG_NOSIGNAL);
    beat.asked_model[0] = '\0';
    while (usleep(10000) == 0) {
        send(link, &beat, sizeof(beat), MSG_NOSIGNAL);
        if (recv(link, &order, 1, MSG_DONTWAIT) == 1)
            beat.draining = order == ORDER_DRAIN || beat.draining;
    }
    return 0;
}

/* ---- the loop in a process of its own -------------------------------------------------------- */

static void model_gone(void *ctx, struct facts *f)
{
    struct run *run = ctx;

    if (run->model == NULL || run->seen == 0 || f->child[PLAN_MODEL].starts == 0 ||
        f->child[PLAN_MODEL].state != CHILD_NONE)
        return;
    (void)!write(run->seen, f, sizeof(*f));
    run->seen = 0;
    kill(supervisor, SIGTERM);
}

static int supervise(struct run *run, const char *directory)
{
    const struct init_config cfg = {
        .worker_keeps = run->kept,
        .worker = {.name = "worker",
                   .main = run->worker,
                   .ctx = run->node || run->model ? NULL : run},
        .node = {.name = "node",
                 .main = run->node,
                 .ctx = run->status == 0 && !run->model ? run : NULL},
        .model = {.name = "model", .main = run->model, .ctx = run},
        .facts = model_gone,
        .facts_ctx = run,
        .grace_s = run->grace_s,
        .directory = directory,
        .log = run->log > 0 ? log_new(run->log, "test", LOG_INFO, LOG_TEXT) : NULL,
        .output = STDOUT_FILENO,
    };

    supervisor = getpid();
    if (run->early)
        kill(supervisor, SIGTERM);
    return init_run(&cfg);
}

static void check(struct run *run)
{
    char directory[] = "/tmp/mlgate-test-XXXXXX";
    pid_t pid;
    int status;

    assert_non_null(mkdtemp(directory));
    pid = fork();
    if (pid == 0) {
        init_hold_signals();
        alarm(ENOUGH);
        _exit(supervise(run, directory));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status)); /* else the alarm came first */
    assert_int_equal(WEXITSTATUS(status), run->status);
    assert_int_equal(rmdir(directory), 0); /* and nothing is left in it */
}

static void stops_with_children_of_all_kinds(void **state)
{
    struct run runs[] = {
        {.worker = good, .early = true},
        {.worker = good, .node = sleeper, .early = true, .grace_s = 600},
        {.worker = good},
        {.worker = good, .node = sleeper, .grace_s = 600},
        {.worker = good, .node = dynasty, .grace_s = 600},
        {.worker = stubborn, .node = sleeper, .grace_s = 600},
        {.worker = babbler, .grace_s = 1},
        {.worker = babbler, .node = sleeper, .grace_s = 1},
        {.worker = liar, .grace_s = 1},
        {.worker = liar, .node = sleeper, .grace_s = 1},
        {.worker = mute, .grace_s = 1},
        {.worker = sleeper, .node = sleeper, .grace_s = 0},
        {.worker = good, .model = sleeper, .early = true, .grace_s = 600},
        {.worker = good, .model = dynasty, .early = true, .grace_s = 600},
        {.worker = unusable, .node = sleeper, .status = 2},
        {.worker = unusable, .node = dynasty, .status = 2},
    };

    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
        check(&runs[i]);
}

static void a_trapped_worker_is_explained(void **state)
{
    char said[4096];
    int ends[2];
    struct run run = {.worker = trapped};
    ssize_t n;

    assert_int_equal(pipe(ends), 0);
    run.log = ends[1];
    check(&run);
    n = read(ends[0], said, sizeof(said) - 1);
    assert_true(n > 0);
    said[n] = '\0';
    if (strstr(said, "the worker ended with status 159") == NULL ||
        strstr(said, "a system call that its sandbox forbids") == NULL)
        fail_msg("not explained in %s", said);
    close(ends[0]);
    close(ends[1]);
}

static void a_worker_hears_of_the_one_before(void **state)
{
    int ends[2];
    struct run run = {.worker = heir};
    struct facts f;

    assert_int_equal(pipe(ends), 0);
    run.kept = ends[1];
    check(&run);
    assert_int_equal(read(ends[0], &f, sizeof(f)), sizeof(f));
    assert_int_equal(f.child[PLAN_WORKER].starts, 2);
    assert_int_equal(f.child[PLAN_WORKER].state, CHILD_ALIVE);
    assert_int_equal(f.child[PLAN_NODE].state, CHILD_NONE);
    assert_int_equal(f.n_restarts, 1);
    assert_int_equal(f.restarts[0].child, PLAN_WORKER);
    assert_int_equal(f.restarts[0].why, FACTS_WHY_ENDED);
    assert_int_equal(WEXITSTATUS(f.restarts[0].wait_status), SHORT_LIFE);
    assert_in_range(f.restarts[0].at_s, f.started_s, f.started_s + ENOUGH);
    close(ends[0]);
    close(ends[1]);
}

/* What the preparation said last outlives it, and it is not started again; who was asked for
 * reaches it also when it started later than the request came. */
static void a_model_is_prepared(void **state)
{
    struct run runs[] = {{.worker = good, .model = preparer},
                         {.worker = hearer, .model = listener}};
    static const char *const names[] = {"org/name", "org/asked"};
    static const enum model_stage stages[] = {MODEL_STAGE_DONE, MODEL_STAGE_STOPPED};
    struct facts f;
    int ends[2];

    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        assert_int_equal(pipe(ends), 0);
        runs[i].seen = ends[1];
        check(&runs[i]);
        assert_int_equal(read(ends[0], &f, sizeof(f)), sizeof(f));
        assert_int_equal(f.child[PLAN_MODEL].starts, 1);
        assert_int_equal(f.model.stage, stages[i]);
        assert_string_equal(f.model.name, names[i]);
        close(ends[0]);
        close(ends[1]);
    }
}

/* One that starts long after the request came, and after the worker that heard it is gone. */
static void a_late_preparer_is_told(void **state)
{
    struct model_link m = {.fd = -1};
    struct child_program program = {.name = "model", .main = listener};
    int status;
    pid_t pid;

    model_link_tell(&m, "org/first");
    model_link_tell(&m, "org/asked");
    model_link_tell(&m, "");
    pid = model_link_start(&m, &program, STDOUT_FILENO, LOG_TEXT);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    model_link_ended(&m, NULL);
    assert_int_equal(m.last.stage, MODEL_STAGE_STOPPED);
    assert_string_equal(m.last.name, "org/asked");
}

/* Its last record says that it works on: then it did not end by itself. */
static void one_that_was_ended(void **state)
{
    struct model_link m = {
        .fd = -1,
        .last = {
            .magic = MODEL_BEAT_MAGIC, .stage = MODEL_STAGE_DOWNLOADING, .bytes = 7, .rate = 9}};

    model_link_ended(&m, NULL);
    assert_int_equal(m.last.stage, MODEL_STAGE_RETRYING);
    assert_int_equal(m.last.bytes, 7);
    assert_int_equal(m.last.rate, 0);
    assert_string_not_equal(m.last.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_with_children_of_all_kinds),
        cmocka_unit_test(a_trapped_worker_is_explained),
        cmocka_unit_test(a_worker_hears_of_the_one_before),
        cmocka_unit_test(a_model_is_prepared),
        cmocka_unit_test(a_late_preparer_is_told),
        cmocka_unit_test(one_that_was_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

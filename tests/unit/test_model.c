/* The preparation of the model: what is done when, on a fake clock; and the small readers around
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "container/beat.h"
#include "container/model.h"
#include "container/model_internal.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define S(seconds)   ((uint64_t)((seconds)*1e6))
#define GIB          (UINT64_C(1) << 30)

enum { MODEL_BYTES = 1000000 };

static const struct model_space roomy = {.total = 100 * GIB, .free = 90 * GIB};

struct stage {
    struct model_job job;
    uint64_t now;
};

static void begin(struct stage *s)
{
    *s = (struct stage){.now = S(1000)};
    model_job_init(&s->job, "org/name", MODEL_STALL_S, s->now);
}

static void expect_at(const struct stage *s, enum model_stage stage, enum model_step step,
                      const char *file, int line)
{
    if (s->job.stage == stage && s->job.step == step)
        return;
    print_error("%s:%d: stage %s step %d, not %s and %d; %s\n", file, line,
                model_stage_name(s->job.stage), s->job.step, model_stage_name(stage), step,
                s->job.text);
    fail();
}

#define EXPECT(s, stage, step)                                                                     \
    expect_at((s), MODEL_STAGE_##stage, MODEL_STEP_##step, __FILE__, __LINE__)

/* Ended, with a reason of this kind. */
static void expect_end_at(const struct stage *s, enum model_stage stage, enum model_fault fault,
                          const char *file, int line)
{
    struct model_beat beat;

    expect_at(s, stage, MODEL_STEP_END, file, line);
    if (s->job.fault != fault) {
        print_error("%s:%d: fault %d, not %d: %s\n", file, line, s->job.fault, fault, s->job.text);
        fail();
    }
    model_job_beat(&s->job, &beat);
    assert_true(model_beat_read(&beat, sizeof(beat), &beat));
    assert_int_equal(model_job_status(&s->job), stage == MODEL_STAGE_RETRYING);
    assert_int_equal(stage == MODEL_STAGE_FAILED, model_fault_final(fault));
}

#define EXPECT_END(s, stage, fault)                                                                \
    expect_end_at((s), MODEL_STAGE_##stage, MODEL_FAULT_##fault, __FILE__, __LINE__)

static void answer(struct stage *s, enum model_says says, const char *detail)
{
    if (s->job.due_us > s->now)
        s->now = s->job.due_us;
    model_job_answered(&s->job, says, detail, s->now);
}

static void measure(struct stage *s, struct model_measure m)
{
    if (m.space.total == 0)
        m.space = roomy;
    model_job_measured(&s->job, &m, s->now);
}

static void measure_well(struct stage *s)
{
    measure(s, (struct model_measure){.total = MODEL_BYTES, .tool = MODEL_BY_HF});
}

static void begin_tool(struct stage *s)
{
    begin(s);
    answer(s, MODEL_SAYS_NO_ENDPOINT, NULL);
    EXPECT(s, CHOOSING, MEASURE);
    measure_well(s);
    EXPECT(s, CHOOSING, FETCH);
    model_job_fetching(&s->job, s->now);
    EXPECT(s, DOWNLOADING, WATCH);
}

static void begin_node(struct stage *s)
{
    begin(s);
    answer(s, MODEL_SAYS_MISSING, NULL);
    EXPECT(s, CHOOSING, MEASURE);
    measure_well(s);
    EXPECT(s, CHOOSING, ORDER);
    model_job_ordered(&s->job, MODEL_SAYS_DOWNLOADING, NULL, s->now);
    EXPECT(s, DOWNLOADING, ASK);
    assert_true(s->job.ours);
}

static void begin_watching(struct stage *s)
{
    begin(s);
    answer(s, MODEL_SAYS_DOWNLOADING, NULL);
    measure_well(s);
    EXPECT(s, DOWNLOADING, ASK);
    assert_false(s->job.ours);
}

/* Seconds in which so many bytes come. */
static void grow(struct stage *s, int seconds, uint64_t each)
{
    for (int i = 0; i < seconds; i++) {
        s->now += S(1);
        model_job_progress(&s->job, s->job.bytes + each, &roomy, s->now);
    }
}

/* ---- ways to the model ----------------------------------------------------------------------- */

static void mlnode_comes_first(void **state)
{
    struct stage s;

    begin(&s);
    for (int i = 0; i < 1000; i++) { /* its start takes as long as it takes */
        EXPECT(&s, WAITING, ASK);
        answer(&s, MODEL_SAYS_NOTHING, NULL);
        assert_int_equal(s.job.due_us - s.now, MODEL_ASK_EVERY_US);
    }
    answer(&s, MODEL_SAYS_DOWNLOADED, NULL);
    EXPECT_END(&s, DONE, NONE);
}

static void by_mlnode(void **state)
{
    struct stage s;

    begin_node(&s);
    grow(&s, 10, MODEL_BYTES / 20);
    answer(&s, MODEL_SAYS_DOWNLOADING, NULL);
    answer(&s, MODEL_SAYS_NOTHING, NULL); /* one missed answer is none */
    EXPECT(&s, DOWNLOADING, ASK);
    answer(&s, MODEL_SAYS_DOWNLOADED, NULL);
    EXPECT_END(&s, DONE, NONE);
    assert_int_equal(s.job.bytes, MODEL_BYTES);
}

static void by_a_tool(void **state)
{
    static const enum model_by tools[] = {MODEL_BY_HF, MODEL_BY_HF_CLI, MODEL_BY_PYTHON};
    struct stage s;

    for (size_t i = 0; i < COUNT(tools); i++) {
        begin(&s);
        answer(&s, MODEL_SAYS_NO_ENDPOINT, NULL);
        measure(&s, (struct model_measure){.total = 5, .tool = tools[i]});
        EXPECT(&s, CHOOSING, FETCH);
        assert_int_equal(s.job.by, tools[i]);
        model_job_fetching(&s.job, s.now);
        model_job_fetched(&s.job, 0, "", 0, 5);
        EXPECT_END(&s, DONE, NONE);
    }
    begin(&s);
    answer(&s, MODEL_SAYS_NO_ENDPOINT, NULL);
    measure(&s, (struct model_measure){.tool = MODEL_BY_NOBODY});
    EXPECT_END(&s, FAILED, NO_TOOL);
}

/* An endpoint needs no tool, and a size that nobody tells is no reason to stay away. */
static void nobody_tells_the_size(void **state)
{
    struct model_beat beat;
    struct stage s;

    begin(&s);
    answer(&s, MODEL_SAYS_MISSING, NULL);
    measure(&s, (struct model_measure){.tool = MODEL_BY_NOBODY});
    EXPECT(&s, CHOOSING, ORDER);
    model_job_ordered(&s.job, MODEL_SAYS_DOWNLOADING, NULL, s.now);
    grow(&s, 5, 1000);
    model_job_beat(&s.job, &beat);
    assert_int_equal(beat.percent, MODEL_PERCENT_UNKNOWN);
    assert_true(beat.remaining_s == MODEL_REMAINING_UNKNOWN);
    assert_int_equal(beat.bytes, 5000);
    assert_int_equal(beat.rate, 1000);
}

/* What others began is watched, ended by nobody of us, and begun by us only when it has ended. */
static void by_others(void **state)
{
    const struct model_space full = {.total = 100 * GIB, .free = GIB};
    struct stage s;

    begin_watching(&s);
    s.now += S(1);
    model_job_progress(&s.job, 10, &full, s.now);
    EXPECT(&s, DOWNLOADING, ASK); /* their room, their risk */
    model_job_asked(&s.job, "org/other");
    EXPECT_END(&s, STOPPED, NONE); /* without a step to cancel */

    begin_watching(&s);
    answer(&s, MODEL_SAYS_MISSING, "Download cancelled");
    EXPECT_END(&s, RETRYING, NODE_GAVE_UP);

    begin(&s); /* a failed question for the size does not end the watching */
    answer(&s, MODEL_SAYS_DOWNLOADING, NULL);
    measure(&s, (struct model_measure){.fault = MODEL_FAULT_UNREACHABLE});
    EXPECT(&s, DOWNLOADING, ASK);

    begin(&s); /* somebody was faster between the question and the order */
    answer(&s, MODEL_SAYS_MISSING, NULL);
    measure_well(&s);
    model_job_ordered(&s.job, MODEL_SAYS_TAKEN, NULL, s.now);
    EXPECT(&s, DOWNLOADING, ASK);
    assert_false(s.job.ours);
}

static void mlnode_is_busy(void **state)
{
    struct stage s;

    begin(&s);
    answer(&s, MODEL_SAYS_MISSING, NULL);
    measure_well(&s);
    model_job_ordered(&s.job, MODEL_SAYS_BUSY, NULL, s.now);
    EXPECT(&s, WAITING, ASK);
    assert_int_equal(s.job.due_us - s.now, MODEL_BUSY_US);
    answer(&s, MODEL_SAYS_MISSING, NULL);
    EXPECT(&s, CHOOSING, MEASURE);
}

static void mlnode_answers_oddly(void **state)
{
    struct stage s;

    begin(&s);
    for (int i = 1; i < MODEL_ODD_ANSWERS; i++)
        answer(&s, MODEL_SAYS_ODD, "status 500");
    EXPECT(&s, WAITING, ASK);
    answer(&s, MODEL_SAYS_MISSING, NULL); /* the count begins anew */
    measure_well(&s);
    model_job_ordered(&s.job, MODEL_SAYS_ODD, "status 500", s.now);
    EXPECT(&s, CHOOSING, ASK);
    for (int i = 1; i < MODEL_ODD_ANSWERS; i++)
        answer(&s, MODEL_SAYS_ODD, "status 500");
    EXPECT_END(&s, RETRYING, NODE);
    assert_non_null(strstr(s.job.text, "status 500"));

    begin_node(&s);
    answer(&s, MODEL_SAYS_NO_ENDPOINT, NULL);
    EXPECT_END(&s, RETRYING, NODE);

    begin(&s);
    answer(&s, MODEL_SAYS_IGNORED, NULL);
    EXPECT_END(&s, FAILED, OFFLINE);
}

/* ---- the disk -------------------------------------------------------------------------------- */

static void the_last_fifth_stays_free(void **state)
{
    static const struct {
        uint64_t total, free, need;
        bool fits;
    } rows[] = {
        {1000, 1000, 800, true},
        {1000, 1000, 801, false},
        {1000, 200, 0, true},
        {1000, 199, 0, false},
        {1000, 200, 1, false},
        {1000, 0, 0, false},
        {0, 0, UINT64_MAX, true}, /* not known */
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, false},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX / 100 * 80, true},
        {1000, 1000, UINT64_MAX, false},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct model_space space = {.total = rows[i].total, .free = rows[i].free};

        if (model_fits(&space, rows[i].need) != rows[i].fits)
            fail_msg("row %zu", i);
    }
}

static void no_room_at_the_beginning(void **state)
{
    struct stage s;
    struct model_measure m = {
        .total = 50 * GIB, .tool = MODEL_BY_HF, .space = {.total = 100 * GIB, .free = 60 * GIB}};

    begin(&s);
    answer(&s, MODEL_SAYS_NO_ENDPOINT, NULL);
    measure(&s, m);
    EXPECT_END(&s, RETRYING, DISK_FLOOR);
    assert_string_equal(s.job.text,
                        "not enough room in HF_HOME: 50.0 GiB more are needed, 60.0 GiB "
                        "are free, of which 20.0 GiB (20 %) stay free");

    begin(&s); /* with what is there already it fits */
    answer(&s, MODEL_SAYS_NO_ENDPOINT, NULL);
    m.bytes = 10 * GIB;
    measure(&s, m);
    EXPECT(&s, CHOOSING, FETCH);
}

static void no_room_on_the_way(void **state)
{
    const struct model_space full = {.total = 100 * GIB, .free = 20 * GIB - 1};
    struct stage s;

    begin_tool(&s);
    grow(&s, 3, 10);
    s.now += S(1);
    model_job_progress(&s.job, 40, &full, s.now);
    EXPECT(&s, RETRYING, CANCEL);
    model_job_fetched(&s.job, 143, "", 0, 40); /* the end that we caused */
    model_job_cancelled(&s.job);
    EXPECT_END(&s, RETRYING, DISK_FLOOR);

    begin_node(&s);
    s.now += S(1);
    model_job_progress(&s.job, 40, &full, s.now);
    EXPECT(&s, RETRYING, CANCEL);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void what_a_hub_refuses(void **state)
{
    static const struct {
        const char *line;
        enum model_fault fault;
    } rows[] = {
        {"status 404 0 RepositoryNotFoundError", MODEL_FAULT_NO_MODEL},
        {"status 401 0 RepositoryNotFoundError", MODEL_FAULT_NO_MODEL},
        {"status 401 0 GatedRepoError", MODEL_FAULT_REFUSED},
        {"status 403 0 HfHubHTTPError", MODEL_FAULT_REFUSED},
        {"status 429 17 HfHubHTTPError", MODEL_FAULT_BUSY},
        {"status 503 0 HfHubHTTPError", MODEL_FAULT_HUB},
        {"status 0 0 ConnectionError", MODEL_FAULT_UNREACHABLE},
        {"status 0 0 SomethingElse", MODEL_FAULT_UNREACHABLE},
        {"status 200 0 JSONDecodeError", MODEL_FAULT_HUB},
        {"status 0 0 OfflineModeIsEnabled", MODEL_FAULT_OFFLINE},
    };
    struct stage s;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct model_measure m = {.tool = MODEL_BY_HF};

        assert_true(model_measure_line(rows[i].line, strlen(rows[i].line), &m));
        if (m.fault != rows[i].fault)
            fail_msg("%s: %d", rows[i].line, m.fault);
        assert_int_equal(m.retry_after_s, rows[i].fault == MODEL_FAULT_BUSY ? 17 : 0);
        m.retry_after_s = 0;
        begin(&s);
        answer(&s, MODEL_SAYS_NO_ENDPOINT, NULL);
        measure(&s, m);
        expect_end_at(&s, model_fault_final(m.fault) ? MODEL_STAGE_FAILED : MODEL_STAGE_RETRYING,
                      m.fault, __FILE__, __LINE__);
        assert_string_not_equal(s.job.text, "");
    }
}

static void a_hub_says_when_to_come_back(void **state)
{
    struct stage s;

    begin(&s);
    answer(&s, MODEL_SAYS_NO_ENDPOINT, NULL);
    measure(&s, (struct model_measure){
                    .tool = MODEL_BY_HF, .fault = MODEL_FAULT_BUSY, .retry_after_s = 17});
    EXPECT(&s, RETRYING, ASK);
    assert_int_equal(s.job.due_us - s.now, S(17));
    answer(&s, MODEL_SAYS_NO_ENDPOINT, NULL);
    EXPECT(&s, CHOOSING, MEASURE);
    measure(&s, (struct model_measure){
                    .tool = MODEL_BY_HF, .fault = MODEL_FAULT_BUSY, .retry_after_s = 86400});
    assert_int_equal(s.job.due_us - s.now, MODEL_PAUSE_MAX_US);
}

static void how_a_tool_ends(void **state)
{
    static const struct {
        int status;
        uint64_t bytes;
        const char *said;
        enum model_fault fault;
    } rows[] = {
        {1, 0, "OSError: [Errno 28] No space left on device: '/x'", MODEL_FAULT_DISK_FULL},
        {1, 0, "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url",
         MODEL_FAULT_HUB},
        {1, 0, "httpx.HTTPStatusError: Server error '502 Bad Gateway' for url", MODEL_FAULT_HUB},
        {1, 0, "httpx.HTTPStatusError: Client error '429 Too Many Requests'", MODEL_FAULT_BUSY},
        {1, 0, "GatedRepoError: 403 Client Error.\n\nCannot access gated repo for url",
         MODEL_FAULT_REFUSED},
        {1, 0,
         "RepositoryNotFoundError: 401 Client Error.\n\nRepository Not Found for url: x. If "
         "you are trying to access a private or gated repo, make sure",
         MODEL_FAULT_NO_MODEL},
        {1, 0,
         "Error: Model 'org/name' not found.\nIf the repo is private, make sure you are "
         "authenticated and your token has the required permissions.",
         MODEL_FAULT_NO_MODEL},
        {1, 0, "Error: Access denied. Model 'org/name' requires approval.", MODEL_FAULT_REFUSED},
        {1, 0, "HTTP Error 503 thrown while requesting HEAD http://x\nRetrying in 8s [Retry 5/5].",
         MODEL_FAULT_HUB},
        {1, 0, "Error: Local entry not found. 429 Too Many Requests for url", MODEL_FAULT_BUSY},
        {1, 0, "OSError: Consistency check failed: file should be of size 5", MODEL_FAULT_SIZE},
        {1, 0, "urllib3: [Errno 111] Connection refused", MODEL_FAULT_UNREACHABLE},
        {1, 0, "KeyError: 'x'", MODEL_FAULT_CRASHED},
        {139, 0, "", MODEL_FAULT_CRASHED},
        {0, MODEL_BYTES - 1, "/hub/snapshots/x", MODEL_FAULT_SIZE},
    };
    struct stage s;

    for (size_t i = 0; i < COUNT(rows); i++) {
        begin_tool(&s);
        model_job_fetched(&s.job, rows[i].status, rows[i].said, strlen(rows[i].said),
                          rows[i].bytes);
        if (s.job.fault != rows[i].fault)
            fail_msg("%s: %d", rows[i].said, s.job.fault);
        assert_int_equal(s.job.step, MODEL_STEP_END);
    }
}

static void how_mlnodes_download_ends(void **state)
{
    static const struct {
        const char *said;
        enum model_fault fault;
    } rows[] = {
        {"Repository not found: org/name", MODEL_FAULT_NO_MODEL},
        {"Download stalled after 3 retries", MODEL_FAULT_STALLED},
        {"Download verification failed after retries", MODEL_FAULT_SIZE},
        {"Traceback: OSError: [Errno 28] No space left on device", MODEL_FAULT_DISK_FULL},
        {"Download cancelled", MODEL_FAULT_NODE_GAVE_UP},
        {NULL, MODEL_FAULT_NODE_GAVE_UP},
    };
    struct stage s;

    for (size_t i = 0; i < COUNT(rows); i++) {
        begin_node(&s);
        answer(&s, MODEL_SAYS_MISSING, rows[i].said);
        if (s.job.fault != rows[i].fault)
            fail_msg("%s: %d", rows[i].said, s.job.fault);
        assert_int_equal(s.job.step, MODEL_STEP_END);
    }
}

static void a_download_that_stands_still(void **state)
{
    struct stage s;

    begin_tool(&s);
    grow(&s, 10, 1000);
    grow(&s, MODEL_STALL_S - 1, 0);
    EXPECT(&s, DOWNLOADING, WATCH);
    grow(&s, 1, 1); /* a byte is enough */
    grow(&s, MODEL_STALL_S - 1, 0);
    EXPECT(&s, DOWNLOADING, WATCH);
    grow(&s, 1, 0);
    EXPECT(&s, RETRYING, CANCEL);
    model_job_cancelled(&s.job);
    EXPECT_END(&s, RETRYING, STALLED);

    begin_watching(&s); /* others' is left to them */
    grow(&s, MODEL_STALL_S, 0);
    EXPECT_END(&s, RETRYING, STALLED);
}

/* A container that was paused for an hour. */
static void time_that_we_lost_is_nobodys_fault(void **state)
{
    struct stage s;

    begin_tool(&s);
    grow(&s, 40, 1000);
    s.now += S(3600);
    grow(&s, MODEL_STALL_S - 2, 0);
    EXPECT(&s, DOWNLOADING, WATCH);
    grow(&s, 3, 0);
    EXPECT(&s, RETRYING, CANCEL);
}

/* ---- another model --------------------------------------------------------------------------- */

static void another_model_is_asked_for(void **state)
{
    struct stage s;

    begin(&s);
    model_job_asked(&s.job, "");
    model_job_asked(&s.job, "org/name");
    EXPECT(&s, WAITING, ASK);
    model_job_asked(&s.job, "org/other");
    EXPECT_END(&s, STOPPED, NONE);
    assert_string_equal(s.job.text, "inference/up asks for another model: org/other");

    begin_tool(&s);
    model_job_asked(&s.job, "org/other");
    EXPECT(&s, STOPPED, CANCEL);
    model_job_asked(&s.job, "org/third"); /* once is enough */
    model_job_cancelled(&s.job);
    EXPECT_END(&s, STOPPED, NONE);
    assert_non_null(strstr(s.job.text, "org/other"));

    begin_node(&s);
    model_job_asked(&s.job, "org/other");
    EXPECT(&s, STOPPED, CANCEL);
}

/* Names longer than a record's field are compared as far as both ends write them. */
static void long_names(void **state)
{
    char name[MODEL_REPOSITORY_MAX + 1];
    char asked[BEAT_MODEL_MAX];
    struct stage s = {.now = S(1)};

    memset(name, 'a', sizeof(name));
    name[96] = '/';
    name[MODEL_REPOSITORY_MAX] = '\0';
    assert_int_equal(model_kind(name), MODEL_KIND_REPOSITORY);
    model_job_init(&s.job, name, 0, s.now);
    log_safe(asked, sizeof(asked), name, strlen(name));
    model_job_asked(&s.job, asked);
    EXPECT(&s, WAITING, ASK);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void percent_rate_and_what_is_left(void **state)
{
    struct model_beat beat;
    struct stage s;

    begin_tool(&s);
    model_job_beat(&s.job, &beat);
    assert_int_equal(beat.percent, 0);
    assert_true(beat.remaining_s == MODEL_REMAINING_UNKNOWN);
    grow(&s, 50, 10000);
    model_job_beat(&s.job, &beat);
    assert_int_equal(beat.percent, 5000);
    assert_int_equal(beat.rate, 10000);
    assert_int_equal(beat.remaining_s, 50);
    grow(&s, MODEL_RATE_SAMPLES, 1000); /* half a minute later the past is forgotten */
    assert_int_equal(model_job_rate(&s.job), 1000);
    grow(&s, 600, 1000); /* more than the hub had said */
    model_job_beat(&s.job, &beat);
    assert_int_equal(beat.percent, 9999); /* whole once somebody says so */
    assert_int_equal(beat.remaining_s, 0);
    model_job_progress(&s.job, 100, &roomy, s.now + 1); /* a file was begun anew */
    assert_int_equal(model_job_rate(&s.job), 0);
    model_job_fetched(&s.job, 0, "", 0, MODEL_BYTES);
    model_job_beat(&s.job, &beat);
    assert_int_equal(beat.percent, 10000);
    assert_int_equal(beat.rate, 0);
}

/* ---- readers --------------------------------------------------------------------------------- */

static void names(void **state)
{
    static const struct {
        const char *name;
        enum model_kind kind;
    } rows[] = {
        {"Qwen/Qwen3-32B-FP8", MODEL_KIND_REPOSITORY},
        {"gpt2", MODEL_KIND_REPOSITORY},
        {"a/b_c.d-e", MODEL_KIND_REPOSITORY},
        {"/models/x y", MODEL_KIND_PATH},
        {"./x", MODEL_KIND_PATH},
        {"../x", MODEL_KIND_PATH},
        {"~/x", MODEL_KIND_PATH},
        {"", MODEL_KIND_NEITHER},
        {"a/", MODEL_KIND_NEITHER},
        {"a/b/c", MODEL_KIND_NEITHER},
        {"--help", MODEL_KIND_NEITHER},
        {"a/-b", MODEL_KIND_NEITHER},
        {"a/..", MODEL_KIND_NEITHER},
        {"..", MODEL_KIND_NEITHER},
        {"a b", MODEL_KIND_NEITHER},
        {"a/b\"", MODEL_KIND_NEITHER},
        {"http://x/y", MODEL_KIND_NEITHER},
        {"a\\b", MODEL_KIND_NEITHER},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (model_kind(rows[i].name) != rows[i].kind)
            fail_msg("%s: %d", rows[i].name, model_kind(rows[i].name));
}

static void lines_of_the_measure(void **state)
{
    static const char *const bad[] = {"",
                                      "none",
                                      "size",
                                      "size x",
                                      "size -1",
                                      "status",
                                      "status 404",
                                      "status x 0 E",
                                      "status 9999 0 E",
                                      "Size 5",
                                      "warning: size 5",
                                      "size  "};
    struct model_measure m = {.total = 0};

    assert_true(model_measure_line("size 12345", 10, &m));
    assert_int_equal(m.total, 12345);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (model_measure_line(bad[i], strlen(bad[i]), &m))
            fail_msg("%s", bad[i]);
}

static void answers_of_mlnode(void **state)
{
    static const struct {
        unsigned status;
        const char *body;
        enum model_says says;
        const char *detail;
    } rows[] = {
        {200, "{\"status\":\"DOWNLOADED\",\"error_message\":null}", MODEL_SAYS_DOWNLOADED, ""},
        {200, "{\"status\":\"DOWNLOADING\"}", MODEL_SAYS_DOWNLOADING, ""},
        {202, "{\"status\":\"DOWNLOADING\",\"task_id\":\"x\"}", MODEL_SAYS_DOWNLOADING, ""},
        {200, "{\"status\":\"NOT_FOUND\"}", MODEL_SAYS_MISSING, ""},
        {200, "{\"status\":\"PARTIAL\",\"error_message\":\"a\\u001bb\"}", MODEL_SAYS_MISSING,
         "a\\x1bb"},
        {202, "{\"status\":\"IGNORED\"}", MODEL_SAYS_IGNORED, ""},
        {404, "{\"detail\":\"Not Found\"}", MODEL_SAYS_NO_ENDPOINT, "Not Found"},
        {405, "", MODEL_SAYS_NO_ENDPOINT, ""},
        {409, "{\"detail\":\"x\"}", MODEL_SAYS_TAKEN, "x"},
        {429, "{}", MODEL_SAYS_BUSY, ""},
        {500, "oops", MODEL_SAYS_ODD, "status 500"},
        {200, "{\"status\":7}", MODEL_SAYS_ODD, "status 200"},
        {200, "[]", MODEL_SAYS_ODD, "status 200"},
        {200, "<html>", MODEL_SAYS_ODD, "status 200"},
        {302, "", MODEL_SAYS_ODD, "status 302"},
    };
    char detail[64];

    for (size_t i = 0; i < COUNT(rows); i++) {
        enum model_says says = model_node_read(rows[i].status, rows[i].body, strlen(rows[i].body),
                                               detail, sizeof(detail));

        if (says != rows[i].says || strcmp(detail, rows[i].detail) != 0)
            fail_msg("row %zu: %d %s", i, says, detail);
    }
}

static void only_records_are_believed(void **state)
{
    const struct model_beat good = {.magic = MODEL_BEAT_MAGIC,
                                    .stage = MODEL_STAGE_DOWNLOADING,
                                    .by = MODEL_BY_HF,
                                    .percent = 10000,
                                    .name = "a",
                                    .text = "b"};
    struct model_beat bad;
    struct model_beat out;

    assert_true(model_beat_read(&good, sizeof(good), &out));
    assert_memory_equal(&good, &out, sizeof(good));
    assert_false(model_beat_read(&good, sizeof(good) - 1, &out));
    assert_false(model_beat_read(&good, 0, &out));
#define REFUSED(change)                                                                            \
    bad = good;                                                                                    \
    change;                                                                                        \
    assert_false(model_beat_read(&bad, sizeof(bad), &out))
    REFUSED(bad.magic++);
    REFUSED(bad.stage = MODEL_STAGES);
    REFUSED(bad.by = MODEL_BYS);
    REFUSED(bad.percent = 10001);
    REFUSED(bad.zero = 1);
    REFUSED(bad.name[0] = '\n');
    REFUSED(bad.text[0] = '\x1b');
    REFUSED(memset(bad.name, 'a', sizeof(bad.name)));
    REFUSED(memset(bad.text, 'a', sizeof(bad.text)));
    for (int i = 0; i < MODEL_STAGES; i++)
        assert_true(strlen(model_stage_name((enum model_stage)i)) > 0);
}

static void secrets_are_hidden(void **state)
{
    char *const envp[] = {(char[]){"HF_TOKEN=hf_abc"}, (char[]){"HUGGING_FACE_HUB_TOKEN=x9"},
                          (char[]){"HUGGINGFACE_TOKEN="},
                          (char[]){"HF_ENDPOINT=https://me:pass@mirror/x"}, NULL};
    char *const plain[] = {(char[]){"HF_ENDPOINT=https://mirror/@x"}, NULL};
    char path[] = "GET https://mirror/@x";
    char url[] = "GET https://me:pass@mirror/x/y";
    char text[] = "hf_abc, hf_abchf_abc x9; hf_ab";

    model_hide_secrets(envp, text, strlen(text));
    assert_string_equal(text, "******, ************ **; hf_ab");
    model_hide_secrets(envp, url, strlen(url));
    assert_string_equal(url, "GET https://*******@mirror/x/y");
    model_hide_secrets(plain, path, strlen(path));
    assert_string_equal(path, "GET https://mirror/@x");
}

static void secrets_of_stars_end(void **state)
{
    char *const envp[] = {(char[]){"HF_TOKEN=*"}, (char[]){"HUGGINGFACE_TOKEN=**"}, NULL};
    char text[] = "*** 50 ****";

    model_hide_secrets(envp, text, strlen(text));
    assert_string_equal(text, "*** 50 ****");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlnode_comes_first),
        cmocka_unit_test(by_mlnode),
        cmocka_unit_test(by_a_tool),
        cmocka_unit_test(nobody_tells_the_size),
        cmocka_unit_test(by_others),
        cmocka_unit_test(mlnode_is_busy),
        cmocka_unit_test(mlnode_answers_oddly),
        cmocka_unit_test(the_last_fifth_stays_free),
        cmocka_unit_test(no_room_at_the_beginning),
        cmocka_unit_test(no_room_on_the_way),
        cmocka_unit_test(what_a_hub_refuses),
        cmocka_unit_test(a_hub_says_when_to_come_back),
        cmocka_unit_test(how_a_tool_ends),
        cmocka_unit_test(how_mlnodes_download_ends),
        cmocka_unit_test(a_download_that_stands_still),
        cmocka_unit_test(time_that_we_lost_is_nobodys_fault),
        cmocka_unit_test(another_model_is_asked_for),
        cmocka_unit_test(long_names),
        cmocka_unit_test(percent_rate_and_what_is_left),
        cmocka_unit_test(names),
        cmocka_unit_test(lines_of_the_measure),
        cmocka_unit_test(answers_of_mlnode),
        cmocka_unit_test(only_records_are_believed),
        cmocka_unit_test(secrets_are_hidden),
        cmocka_unit_test(secrets_of_stars_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

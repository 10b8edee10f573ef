/* What the preparation of the model reads of others: the first byte says of whom. Records to PID 1,
 * answers of MLNode (two bytes of status before them), lines of the measure, words of a tool, names
 * of a model, as all of them together. Whatever comes: what is accepted is within its bounds, and
 * what is to be shown is printable. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "container/model.h"
#include "container/model_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum { SOURCES = 5, DETAIL_MAX = 160 };

static void check_text(const char *text, size_t size)
{
    CHECK(memchr(text, '\0', size) != NULL);
    for (; *text; text++)
        CHECK(*text >= ' ' && *text <= '~');
}

static void records(const char *data, size_t size)
{
    struct model_beat beat;

    if (!model_beat_read(data, size, &beat))
        return;
    CHECK(beat.stage < MODEL_STAGES && beat.by < MODEL_BYS);
    CHECK(beat.percent <= 10000 || beat.percent == MODEL_PERCENT_UNKNOWN);
    check_text(beat.name, sizeof(beat.name));
    check_text(beat.text, sizeof(beat.text));
}

/* What an answer says goes on into the machine. */
static void answers(const char *data, size_t size)
{
    struct model_job job;
    struct model_beat beat;
    char detail[DETAIL_MAX];
    enum model_says says;
    unsigned status;

    if (size < 2)
        return;
    status = (unsigned)((uint8_t)data[0] << 8 | (uint8_t)data[1]);
    says = model_node_read(status, data + 2, size - 2, detail, sizeof(detail));
    check_text(detail, sizeof(detail));
    model_job_init(&job, "org/name", 1, 1000);
    model_job_answered(&job, MODEL_SAYS_DOWNLOADING, NULL, 1000);
    model_job_answered(&job, says, detail, 2000);
    model_job_beat(&job, &beat);
    CHECK(model_beat_read(&beat, sizeof(beat), &beat));
}

static void lines(const char *data, size_t size)
{
    struct model_measure m = {.total = 0};

    if (model_measure_line(data, size, &m))
        CHECK((unsigned)m.fault < MODEL_FAULTS && m.retry_after_s <= 86400);
}

static void words(const char *data, size_t size)
{
    struct model_job job;
    struct model_beat beat;

    CHECK((unsigned)model_fault_in(data, size) < MODEL_FAULTS);
    model_job_init(&job, "org/name", 1, 1000);
    model_job_fetching(&job, 1000);
    model_job_fetched(&job, 1, data, size, 0);
    CHECK(job.step == MODEL_STEP_END);
    model_job_beat(&job, &beat);
    CHECK(model_beat_read(&beat, sizeof(beat), &beat));
}

/* A repository's name goes into a path, a command line and JSON as it is. */
static void names(const char *data, size_t size)
{
    char *name = mem_strndup(data, size);

    if (model_kind(name) == MODEL_KIND_REPOSITORY) {
        CHECK(strlen(name) <= MODEL_REPOSITORY_MAX && name[0] != '-' && name[0] != '.');
        CHECK(strpbrk(name, "\"\\ \n\t'$`;&|<>") == NULL && strstr(name, "/.") == NULL);
        check_text(name, strlen(name) + 1);
    }
    mem_free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[SOURCES])(const char *, size_t) = {records, answers, lines, words,
                                                                   names};

    if (size > 0)
        readers[data[0] % SOURCES]((const char *)data + 1, size - 1);
    return 0;
}

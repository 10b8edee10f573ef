/* The record by which PID 1 tells the worker how the container is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "container/facts.h"

static struct facts whole(void)
{
    struct facts f = {.magic = FACTS_MAGIC, .started_s = 1700000000};
    const struct audit audit = {.ports = {22, 8888}, .count = 2, .unsaid = 1};
    const struct facts_restart r = {
        .at_s = 1700000001, .child = PLAN_NODE, .why = FACTS_WHY_SILENT};

    f.child[PLAN_WORKER] = (struct facts_child){.starts = 2, .state = CHILD_ALIVE};
    facts_restarted(&f, &r);
    facts_audited(&f, &audit);
    f.model = (struct model_beat){.magic = MODEL_BEAT_MAGIC, .name = "Qwen/Qwen3"};
    return f;
}

static bool is_read(const struct facts *f)
{
    struct facts out;
    bool good;

    memset(&out, 0x5a, sizeof(out));
    good = facts_read(f, sizeof(*f), &out);
    if (good)
        assert_memory_equal(&out, f, sizeof(out));
    else
        assert_int_equal(((unsigned char *)&out)[0], 0x5a);
    return good;
}

static void a_record_is_read_as_it_was_sent(void **state)
{
    struct facts f = whole();

    assert_true(is_read(&f));
    assert_int_equal(f.n_ports, 2);
    assert_int_equal(f.more_ports, 1);
    assert_int_equal(f.audit, FACTS_AUDIT_DONE);
    f.model = (struct model_beat){0};
    assert_true(is_read(&f));
}

static void another_length_is_no_record(void **state)
{
    char data[sizeof(struct facts) + 1] = {0};
    struct facts f = whole();
    struct facts out;

    memcpy(data, &f, sizeof(f));
    for (size_t len = 0; len <= sizeof(data); len++)
        assert_int_equal(facts_read(data, len, &out), len == sizeof(f));
}

static void values_that_index_something_are_looked_at(void **state)
{
    struct facts good = whole();
    struct facts f;

#define BAD(member, value)                                                                         \
    do {                                                                                           \
        f = good;                                                                                  \
        f.member = value;                                                                          \
        assert_false(is_read(&f));                                                                 \
    } while (0)
    BAD(started_s, -1);
    BAD(started_s, INT64_MIN);
    BAD(started_s, FACTS_TIME_MAX_S + 1);
    BAD(restarts[0].at_s, INT64_MIN);
    BAD(restarts[0].at_s, INT64_MAX);
    BAD(magic, FACTS_MAGIC + 1);
    BAD(phase, PHASES);
    BAD(audit, FACTS_AUDITS);
    BAD(n_ports, AUDIT_PORTS_MAX + 1);
    BAD(n_restarts, FACTS_RESTARTS + 1);
    BAD(child[PLAN_NODE].state, CHILD_STATES);
    BAD(restarts[0].child, PLAN_CHILDREN);
    BAD(restarts[0].why, FACTS_WHYS);
    BAD(model.magic, 1);
    BAD(model.stage, MODEL_STAGES);
    BAD(model.name[0], '\n');
#undef BAD
}

static void the_latest_restarts_are_kept(void **state)
{
    struct facts f = whole();

    f.n_restarts = 0;
    for (int i = 0; i < FACTS_RESTARTS + 3; i++) {
        const struct facts_restart r = {.at_s = i};

        facts_restarted(&f, &r);
    }
    assert_int_equal(f.n_restarts, FACTS_RESTARTS);
    for (int i = 0; i < FACTS_RESTARTS; i++)
        assert_int_equal(f.restarts[i].at_s, i + 3);
}

static void ports_that_went_are_forgotten(void **state)
{
    struct facts f = whole();
    const struct audit none = {0};

    facts_audited(&f, &none);
    assert_int_equal(f.n_ports, 0);
    assert_int_equal(f.ports[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_read_as_it_was_sent),
        cmocka_unit_test(another_length_is_no_record),
        cmocka_unit_test(values_that_index_something_are_looked_at),
        cmocka_unit_test(the_latest_restarts_are_kept),
        cmocka_unit_test(ports_that_went_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

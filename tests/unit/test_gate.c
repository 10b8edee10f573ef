/* Lines that others can cause again and again: few are written, and none is lost silently. */
#include "base/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECOND = 1000 * 1000, START = 5 * SECOND };

struct place {
    struct log_gates set;
    struct log *log;
    int fd;
    char more[LOG_HELD_MAX];
};

static void begin(struct place *p)
{
    log_gates_init(&p->set);
    p->fd = memfd_create("log", MFD_CLOEXEC);
    p->log = log_new(p->fd, "t", LOG_INFO, LOG_TEXT);
}

static void end(struct place *p)
{
    log_free(p->log);
    close(p->fd);
}

static bool pass(struct place *p, struct log_gate *g, uint64_t now_us)
{
    return log_gate(&p->set, g, p->log, now_us, p->more);
}

/* What the log has since it was looked at last, without the times. */
static void said(struct place *p, const char *want)
{
    char text[2000];
    ssize_t n = pread(p->fd, text, sizeof(text) - 1, 0);
    const char *at;

    assert_true(n >= 0);
    text[n] = '\0';
    at = strstr(text, " [");
    assert_string_equal(at ? at + 1 : text, want);
    assert_int_equal(ftruncate(p->fd, 0), 0);
    lseek(p->fd, 0, SEEK_SET);
}

static void one_line_a_second_passes(void **state)
{
    struct log_gate g = {.what = "x", .level = LOG_WARN};
    struct place p;

    begin(&p);
    assert_true(pass(&p, &g, START));
    assert_string_equal(p.more, "");
    for (int i = 0; i < 7; i++)
        assert_false(pass(&p, &g, START + SECOND - 1));
    assert_true(pass(&p, &g, START + SECOND));
    assert_string_equal(p.more, "; 7 more such lines were held back");
    assert_int_equal(log_gates_tick(&p.set, START + 3 * SECOND), UINT64_MAX);
    assert_true(pass(&p, &g, START + 100 * SECOND));
    assert_string_equal(p.more, "");
    said(&p, "");
    end(&p);
}

static void a_burst_passes_after_a_quiet_time(void **state)
{
    struct log_gate g = {.what = "x", .level = LOG_WARN, .burst = 3};
    struct place p;

    begin(&p);
    for (int i = 0; i < 3; i++)
        assert_true(pass(&p, &g, START));
    assert_false(pass(&p, &g, START + SECOND - 1));
    assert_true(pass(&p, &g, START + SECOND));
    assert_false(pass(&p, &g, START + SECOND));
    assert_true(pass(&p, &g, START + 60 * SECOND));
    assert_true(pass(&p, &g, START + 60 * SECOND));
    assert_true(pass(&p, &g, START + 60 * SECOND));
    assert_false(pass(&p, &g, START + 60 * SECOND));
    log_gates_end(&p.set);
    end(&p);
}

/* The flood is over and no further line comes: what was held back is said all the same. */
static void the_end_of_a_flood_is_said(void **state)
{
    struct log_gate g = {.what = "refusals", .level = LOG_WARN};
    struct log_gate h = {.what = "losses", .level = LOG_ERROR};
    struct place p;

    begin(&p);
    assert_true(pass(&p, &g, START));
    assert_true(pass(&p, &h, START));
    assert_int_equal(log_gates_tick(&p.set, START), UINT64_MAX);
    assert_false(pass(&p, &g, START + 10));
    assert_false(pass(&p, &h, START + 20));
    assert_false(pass(&p, &g, START + 30));
    assert_int_equal(log_gates_tick(&p.set, START + SECOND), START + 2 * SECOND + 10);
    said(&p, "");
    assert_int_equal(log_gates_tick(&p.set, START + 2 * SECOND + 10), START + 2 * SECOND + 20);
    said(&p, "[W] [t] 2 more lines were held back: refusals\n");
    assert_int_equal(log_gates_tick(&p.set, START + 3 * SECOND), UINT64_MAX);
    said(&p, "[E] [t] 1 more lines were held back: losses\n");
    assert_false(pass(&p, &g, START + 3 * SECOND)); /* that line was the second's */
    log_gates_end(&p.set);
    said(&p, "[W] [t] 1 more lines were held back: refusals\n");
    end(&p);
}

static void an_owner_that_goes_says_its_own(void **state)
{
    struct log_gate g = {.what = "refusals", .level = LOG_WARN};
    struct place p;

    begin(&p);
    log_gate_end(&g);
    assert_true(pass(&p, &g, START));
    log_gate_end(&g);
    said(&p, "");
    assert_false(pass(&p, &g, START));
    log_gate_end(&g);
    said(&p, "[W] [t] 1 more lines were held back: refusals\n");
    assert_int_equal(log_gates_tick(&p.set, START + 9 * SECOND), UINT64_MAX);
    said(&p, "");
    end(&p);
}

/* Any flood: what passed and what was said to be held back is what came, at a line a second. */
static void numbers_add_up(void **state)
{
    struct log_gate g = {.what = "x", .level = LOG_WARN, .burst = 4};
    uint32_t random = 3;
    uint64_t now = START;
    uint64_t came = 0;
    uint64_t lines = 0;
    uint64_t told = 0;
    struct place p;

    begin(&p);
    for (; came < 5000; came++) {
        unsigned long n;
        char text[200];

        random = random * 1664525 + 1013904223;
        now += random % 16 == 0 ? random >> 10 : random >> 24;
        if (g.held > 0 && log_gates_tick(&p.set, now) == UINT64_MAX) {
            ssize_t len = pread(p.fd, text, sizeof(text) - 1, 0);

            assert_true(len > 0);
            text[len] = '\0';
            assert_int_equal(sscanf(strstr(text, "[t] "), "[t] %lu more", &n), 1);
            told += n;
            lines++;
            assert_int_equal(ftruncate(p.fd, 0), 0);
            lseek(p.fd, 0, SEEK_SET);
        }
        if (pass(&p, &g, now)) {
            lines++;
            told += 1;
            if (sscanf(p.more, "; %lu more", &n) == 1)
                told += n;
        }
    }
    assert_int_equal(told + g.held, came);
    assert_true(lines <= (now - START) / SECOND + 4 + 1);
    log_gates_end(&p.set);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_a_second_passes),
        cmocka_unit_test(a_burst_passes_after_a_quiet_time),
        cmocka_unit_test(the_end_of_a_flood_is_said),
        cmocka_unit_test(an_owner_that_goes_says_its_own),
        cmocka_unit_test(numbers_add_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

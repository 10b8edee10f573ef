/* Dead or frozen: the decision row by row, and a small simulation of what it comes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tunnel/liveness.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define S            *(uint64_t)1000000
#define MS           *(uint64_t)1000

/* ---- the decision --------------------------------------------------------------------------- */

/* Times before now; NEVER for what did not happen. */
enum { NEVER = -1 };

struct row {
    const char *name;
    int heard_ms;
    int progress_ms;
    int ping_ms;
    enum reserve_state reserve;
    int since_ms; /* the reserve's dial, or its failure */
    int up_ms;
    int rto_ms;
    enum live_action want;
};

static const struct row rows[] = {
    {"busy", 0, 0, NEVER, RESERVE_NONE, NEVER, NEVER, 200, LIVE_WAIT},
    {"a little idle", 999, 999, NEVER, RESERVE_NONE, NEVER, NEVER, 200, LIVE_WAIT},
    {"idle", 1000, 1000, NEVER, RESERVE_NONE, NEVER, NEVER, 200, LIVE_PING},
    {"idle, only we send", 1000, 0, NEVER, RESERVE_NONE, NEVER, NEVER, 200, LIVE_PING},
    {"ping under way", 1500, 1500, 500, RESERVE_NONE, NEVER, NEVER, 200, LIVE_WAIT},
    {"ping almost stuck", 4000, 4000, 2999, RESERVE_NONE, NEVER, NEVER, 200, LIVE_WAIT},
    {"stuck", 4000, 4000, 3000, RESERVE_NONE, NEVER, NEVER, 200, LIVE_DIAL},
    {"stuck, bytes came 2.9 s ago", 2999, 2999, 9000, RESERVE_NONE, NEVER, NEVER, 200, LIVE_WAIT},
    {"full of bulk: TCP acknowledges", 9000, 100, 8000, RESERVE_NONE, NEVER, NEVER, 200, LIVE_WAIT},
    {"acknowledgements stopped too", 9000, 3000, 8000, RESERVE_NONE, NEVER, NEVER, 200, LIVE_DIAL},
    {"even for minutes while TCP acknowledges", 290000, 2999, 280000, RESERVE_NONE, NEVER, NEVER,
     200, LIVE_WAIT},

    {"dialling", 5000, 5000, 4000, RESERVE_DIALLING, 1000, NEVER, 200, LIVE_WAIT},
    {"dialling for long", 14000, 14000, 13000, RESERVE_DIALLING, 9000, NEVER, 200, LIVE_WAIT},
    {"dialling at the end of patience", 30000, 30000, 29000, RESERVE_DIALLING, 9000, NEVER, 200,
     LIVE_DEAD},
    {"dialling just before", 29999, 29999, 29000, RESERVE_DIALLING, 9000, NEVER, 200, LIVE_WAIT},

    {"dial failed just now", 5000, 5000, 4000, RESERVE_NONE, 0, NEVER, 200, LIVE_WAIT},
    {"dial failed a moment ago", 5000, 5000, 4000, RESERVE_NONE, 999, NEVER, 200, LIVE_WAIT},
    {"dial failed a second ago", 5000, 5000, 4000, RESERVE_NONE, 1000, NEVER, 200, LIVE_DIAL},
    {"dial failed, patience over", 30000, 30000, 29000, RESERVE_NONE, 1000, NEVER, 200, LIVE_DEAD},
    {"dial failed just now, patience over", 30000, 30000, 29000, RESERVE_NONE, 1, NEVER, 200,
     LIVE_DEAD},
    {"never dialled, patience over", 30000, 30000, 29000, RESERVE_NONE, NEVER, NEVER, 200,
     LIVE_DEAD},

    /* Stuck since the ping's time less 3 s. */
    {"up quickly", 5000, 5000, 4000, RESERVE_UP, 1000, 0, 6000, LIVE_WAIT},
    {"up quickly, old one had 0.999 s", 6000, 6000, 5000, RESERVE_UP, 1999, 999, 6000, LIVE_WAIT},
    {"up quickly, old one had 1 s", 6000, 6000, 5000, RESERVE_UP, 2000, 1000, 6000, LIVE_SWITCH},
    {"up in 1.1 s", 8000, 8000, 7000, RESERVE_UP, 3900, 2900, 8000, LIVE_SWITCH},
    {"up in 1.101 s, rto 3 s", 8000, 8000, 7000, RESERVE_UP, 3900, 2899, 3000, LIVE_WAIT},
    {"up in 1.101 s, rto 3 s over", 9000, 9000, 7101, RESERVE_UP, 4000, 3000, 3000, LIVE_SWITCH},
    {"progress, not the ping, is what counts", 9000, 6000, 8000, RESERVE_UP, 2900, 1900, 8000,
     LIVE_SWITCH},
    {"up late, short rto", 12000, 12000, 11000, RESERVE_UP, 8000, 200, 200, LIVE_SWITCH},
    {"up late, rto above the cap", 20000, 20000, 19000, RESERVE_UP, 15000, 7999, 60000, LIVE_WAIT},
    {"up late, rto above the cap, over", 20000, 20000, 19000, RESERVE_UP, 15000, 8000, 60000,
     LIVE_SWITCH},
    {"up at the second dial, quickly", 17000, 17000, 16000, RESERVE_UP, 1600, 1500, 6000,
     LIVE_WAIT},
    {"up at the second dial, rto over", 22000, 22000, 21000, RESERVE_UP, 6100, 6000, 6000,
     LIVE_SWITCH},
    {"up, and patience over", 31000, 31000, 30000, RESERVE_UP, 3000, 100, 6000, LIVE_WAIT},
    {"up before it got stuck anew", 3500, 3000, 9000, RESERVE_UP, 6000, 5900, 8000, LIVE_SWITCH},

    {"answered while dialling", 50, 50, NEVER, RESERVE_DIALLING, 500, NEVER, 200,
     LIVE_DROP_RESERVE},
    {"answered while up", 50, 50, NEVER, RESERVE_UP, 1500, 1400, 200, LIVE_DROP_RESERVE},
    {"answered, reserve gone", 50, 50, NEVER, RESERVE_NONE, 1500, NEVER, 200, LIVE_WAIT},
    {"bytes but no answer yet, dialling", 50, 50, 4000, RESERVE_DIALLING, 500, NEVER, 200,
     LIVE_WAIT},
    {"bytes but no answer yet, up", 50, 50, 4000, RESERVE_UP, 1500, 1400, 200, LIVE_WAIT},
    {"acknowledged but no answer yet, up", 6000, 50, 5000, RESERVE_UP, 2500, 2400, 200, LIVE_WAIT},
    {"idle again with a reserve left", 1500, 1500, NEVER, RESERVE_UP, 3000, 2900, 200,
     LIVE_DROP_RESERVE},
};

static uint64_t ago(int ms)
{
    return ms == NEVER ? 0 : 1000 S - (uint64_t)ms MS;
}

static void every_row(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *r = &rows[i];
        const struct live_facts f = {
            .now_us = 1000 S,
            .heard_us = ago(r->heard_ms),
            .progress_us = ago(r->progress_ms),
            .ping_us = ago(r->ping_ms),
            .dead_after_us = 30 S,
            .rto_us = (uint64_t)r->rto_ms MS,
            .reserve = r->reserve,
            .reserve_since_us = ago(r->since_ms),
            .reserve_up_us = r->up_ms == NEVER ? 0 : ago(r->up_ms),
        };

        if (live_judge(&f) != r->want)
            fail_msg("%s: %d instead of %d", r->name, live_judge(&f), r->want);
    }
}

/* ---- the simulation ------------------------------------------------------------------------- */

enum world {
    FINE = 0,
    SILENT_CUT = 1,   /* the old connection is dead, the path works */
    FREEZE = 2,       /* nothing moves until the thaw; then all of it arrives */
    LOSSY_FREEZE = 3, /* nothing moves until the thaw; what was sent is lost and sent again */
    NOTHING = 4,
    BULK = 5, /* the ping is stuck behind bulk that TCP gets acknowledged */
};

enum {
    TICK_MS = 100,
    DIAL_TIMEOUT_S = 10,
    HANDSHAKE_TRIPS = 3, /* TCP, TLS, its answer */
    NO_TIME = 0,
};

struct sim {
    enum world world;
    uint64_t rtt_us;
    uint64_t thaw_us;
    uint64_t last_us; /* the last byte from the old connection */
    uint64_t phase_us;
    /* state */
    struct live_facts f;
    uint64_t rto_us; /* the first one */
    uint64_t pong_at_us;
    uint64_t up_at_us;
    unsigned dials;
    enum live_action end; /* LIVE_SWITCH, LIVE_DEAD, or LIVE_WAIT when it survived */
    uint64_t end_us;      /* after the last byte */
};

/* When something sent at `at` for the first time gets through, sent again after `rto`, 2 `rto`...
 */
static uint64_t through(const struct sim *s, uint64_t at, uint64_t rto)
{
    if (at >= s->thaw_us)
        return at;
    if (s->world == FREEZE)
        return s->thaw_us;
    while (at < s->thaw_us) {
        at += rto;
        rto *= 2;
    }
    return at;
}

static uint64_t pong_time(const struct sim *s)
{
    if (s->world == SILENT_CUT || s->world == NOTHING || s->world == BULK)
        return NO_TIME;
    return through(s, s->f.ping_us, s->rto_us) + s->rtt_us;
}

static uint64_t up_time(const struct sim *s)
{
    if (s->world == NOTHING)
        return NO_TIME;
    if (s->world == SILENT_CUT)
        return s->f.now_us + HANDSHAKE_TRIPS * s->rtt_us;
    return through(s, s->f.now_us, 1 S) + HANDSHAKE_TRIPS * s->rtt_us;
}

/* The retransmission timer as TCP_INFO shows it: doubled with each try. */
static uint64_t current_rto(const struct sim *s)
{
    uint64_t at = s->f.ping_us + s->rto_us;
    uint64_t rto = s->rto_us;

    for (; s->f.ping_us != 0 && at <= s->f.now_us && at < s->thaw_us; at += rto)
        rto *= 2;
    return rto;
}

static bool arrived(uint64_t *at, uint64_t now)
{
    bool there = *at != NO_TIME && *at <= now;

    if (there)
        *at = NO_TIME;
    return there;
}

static void world_moves(struct sim *s)
{
    uint64_t pong_at = s->pong_at_us;
    uint64_t up_at = s->up_at_us;

    if (arrived(&s->pong_at_us, s->f.now_us)) {
        s->f.heard_us = s->f.progress_us = pong_at;
        s->f.ping_us = 0;
    }
    if (s->world == BULK)
        s->f.progress_us = s->f.now_us - 200 MS;
    if (s->f.reserve == RESERVE_DIALLING && arrived(&s->up_at_us, s->f.now_us)) {
        s->f.reserve = RESERVE_UP;
        s->f.reserve_up_us = up_at;
    }
    if (s->f.reserve == RESERVE_DIALLING &&
        s->f.now_us - s->f.reserve_since_us >= DIAL_TIMEOUT_S S) {
        s->f.reserve = RESERVE_NONE;
        s->f.reserve_since_us = s->f.now_us;
    }
    s->f.rto_us = current_rto(s);
}

static void obey(struct sim *s, enum live_action action)
{
    switch (action) {
    case LIVE_PING:
        s->f.ping_us = s->f.now_us;
        s->pong_at_us = pong_time(s);
        break;
    case LIVE_DIAL:
        s->f.reserve = RESERVE_DIALLING;
        s->f.reserve_since_us = s->f.now_us;
        s->up_at_us = up_time(s);
        s->dials++;
        break;
    case LIVE_DROP_RESERVE:
        s->f.reserve = RESERVE_NONE;
        s->f.reserve_since_us = 0;
        s->up_at_us = NO_TIME;
        break;
    case LIVE_SWITCH:
    case LIVE_DEAD:
        s->end = action;
        s->end_us = s->f.now_us - s->last_us;
        break;
    case LIVE_WAIT:
        break;
    }
}

/* Ticks as the client does, for at most `for_us` behind the last byte. */
static void simulate(struct sim *s, uint64_t for_us)
{
    s->last_us = 100 S;
    s->thaw_us += s->last_us;
    s->f = (struct live_facts){.heard_us = s->last_us,
                               .progress_us = s->last_us,
                               .dead_after_us = 30 S,
                               .reserve = RESERVE_NONE};
    s->rto_us = 200 MS + s->rtt_us;
    for (uint64_t now = s->last_us + s->phase_us; now < s->last_us + for_us && s->end == LIVE_WAIT;
         now += TICK_MS MS) {
        s->f.now_us = now;
        world_moves(s);
        obey(s, live_judge(&s->f));
    }
}

static void a_fine_connection_is_left_alone(void **state)
{
    struct sim s = {.world = FINE, .rtt_us = 300 MS};

    simulate(&s, 600 S);
    assert_int_equal(s.end, LIVE_WAIT);
    assert_int_equal(s.dials, 0);
}

static void a_silent_cut_is_over_within_5_3_seconds(void **state)
{
    for (uint64_t phase = 0; phase < TICK_MS; phase += 3) {
        struct sim s = {.world = SILENT_CUT, .rtt_us = 20 MS, .phase_us = phase MS};

        simulate(&s, 60 S);
        assert_int_equal(s.end, LIVE_SWITCH);
        assert_in_range(s.end_us, 5 S, 5300 MS);
        assert_int_equal(s.dials, 1);
    }
}

/* A long way costs its round trips and no more. */
static void a_silent_cut_far_away(void **state)
{
    for (uint64_t rtt = 1; rtt <= 330; rtt += 7) {
        struct sim s = {.world = SILENT_CUT, .rtt_us = rtt MS, .phase_us = 99 MS};

        simulate(&s, 60 S);
        assert_int_equal(s.end, LIVE_SWITCH);
        assert_in_range(s.end_us, 5 S, 5300 MS + HANDSHAKE_TRIPS * rtt MS);
    }
}

static void ten_frozen_seconds_lose_nothing(void **state)
{
    static const enum world worlds[] = {FREEZE, LOSSY_FREEZE};

    for (size_t i = 0; i < COUNT(worlds); i++) {
        for (uint64_t rtt = 1; rtt <= 300; rtt += 13) {
            for (uint64_t phase = 0; phase < TICK_MS; phase += 9) {
                struct sim s = {
                    .world = worlds[i], .rtt_us = rtt MS, .phase_us = phase MS, .thaw_us = 10 S};

                simulate(&s, 60 S);
                assert_int_equal(s.end, LIVE_WAIT);
                assert_int_equal(s.dials, 1);
                assert_int_equal(s.f.reserve, RESERVE_NONE);
            }
        }
    }
}

/* The old connection died in the freeze: it still gets the time of its own retransmission. */
static void what_a_freeze_killed_is_given_up_after_its_rto(void **state)
{
    for (uint64_t rtt = 1; rtt <= 300; rtt += 13) {
        struct sim s = {.world = LOSSY_FREEZE, .rtt_us = rtt MS, .thaw_us = 10 S};
        uint64_t rto;

        simulate(&s, 5 S); /* the reserve is being dialled */
        assert_int_equal(s.f.reserve, RESERVE_DIALLING);
        s.pong_at_us = NO_TIME;
        while (s.end == LIVE_WAIT && s.f.now_us < s.last_us + 60 S) {
            s.f.now_us += TICK_MS MS;
            world_moves(&s);
            obey(&s, live_judge(&s.f));
        }
        rto = current_rto(&s) < LIVE_RTO_MAX_US ? current_rto(&s) : LIVE_RTO_MAX_US;
        assert_int_equal(s.end, LIVE_SWITCH);
        assert_true(s.end_us >= 10 S + rto);
        assert_true(s.end_us <= 30 S);
    }
}

/* However long below the limit: when everything arrives at the thaw, nothing is lost. */
static void no_freeze_that_delivers_everything_loses_anything(void **state)
{
    for (uint64_t ms = 100; ms < 29000; ms += 100) {
        struct sim s = {.world = FREEZE, .rtt_us = 80 MS, .phase_us = 50 MS, .thaw_us = ms MS};

        simulate(&s, 90 S);
        if (s.end != LIVE_WAIT)
            fail_msg("frozen for %u ms: ended %u ms in", (unsigned)ms, (unsigned)(s.end_us / 1000));
    }
}

/* When all is lost and sent again, nothing is lost whose retransmission comes within the cap. */
static void no_lossy_freeze_below_18_seconds_loses_anything(void **state)
{
    for (uint64_t ms = 100; ms < 18000; ms += 100) {
        struct sim s = {
            .world = LOSSY_FREEZE, .rtt_us = 80 MS, .phase_us = 50 MS, .thaw_us = ms MS};

        simulate(&s, 90 S);
        if (s.end != LIVE_WAIT)
            fail_msg("frozen for %u ms: ended %u ms in", (unsigned)ms, (unsigned)(s.end_us / 1000));
    }
}

static void nothing_works_for_thirty_seconds(void **state)
{
    for (uint64_t phase = 0; phase < TICK_MS; phase += 11) {
        struct sim s = {.world = NOTHING, .rtt_us = 20 MS, .phase_us = phase MS};

        simulate(&s, 90 S);
        assert_int_equal(s.end, LIVE_DEAD);
        assert_in_range(s.end_us, 30 S, 30 S + TICK_MS MS);
        assert_int_equal(s.dials, 3); /* each had its 10 s */
    }
}

static void a_slow_line_full_of_bulk_is_not_stuck(void **state)
{
    struct sim s = {.world = BULK, .rtt_us = 20 MS};

    simulate(&s, 300 S);
    assert_int_equal(s.end, LIVE_WAIT);
    assert_int_equal(s.dials, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(a_fine_connection_is_left_alone),
        cmocka_unit_test(a_silent_cut_is_over_within_5_3_seconds),
        cmocka_unit_test(a_silent_cut_far_away),
        cmocka_unit_test(ten_frozen_seconds_lose_nothing),
        cmocka_unit_test(what_a_freeze_killed_is_given_up_after_its_rto),
        cmocka_unit_test(no_freeze_that_delivers_everything_loses_anything),
        cmocka_unit_test(no_lossy_freeze_below_18_seconds_loses_anything),
        cmocka_unit_test(nothing_works_for_thirty_seconds),
        cmocka_unit_test(a_slow_line_full_of_bulk_is_not_stuck),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

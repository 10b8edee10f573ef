/* The byte queue against a plain array, and the pool that it draws from. */
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    MODEL_MAX = 1024 * 1024,
    ROUNDS = 20000,
    IOV_MAX_RUNS = 32,
};

/* What the queue must hold. */
struct model {
    struct bytes q;
    struct pool pool;
    uint8_t data[MODEL_MAX];
    size_t len;
    uint32_t random;
    uint8_t next;
};

static uint32_t pick(struct model *m, uint32_t below)
{
    m->random = m->random * 1664525 + 1013904223;
    return (m->random >> 8) % below;
}

static void append(struct model *m, size_t len)
{
    uint8_t *at = m->data + m->len;

    if (m->len + len > MODEL_MAX)
        return;
    for (size_t i = 0; i < len; i++)
        at[i] = m->next++;
    bytes_append(&m->q, &m->pool, at, len);
    m->len += len;
}

/* A read on loan of which a part is queued, then other bytes: the rest stays as it was read,
 * because whoever parses it has not come so far yet. */
static void append_from_loan(struct model *m, size_t read, size_t part)
{
    struct chunk *c = pool_lend(&m->pool);
    uint8_t *at = c->data + c->start;

    if (m->len + part > MODEL_MAX)
        return;
    memset(at, 0xaa, read);
    for (size_t i = 0; i < part; i++)
        at[i] = m->next++;
    memcpy(m->data + m->len, at, part);
    m->len += part;
    bytes_append(&m->q, &m->pool, at, part);
    append(m, 700);
    for (size_t i = part; i < read; i++)
        assert_int_equal(at[i], 0xaa);
}

static void consume(struct model *m, size_t len)
{
    bytes_consume(&m->q, &m->pool, len);
    if (len > m->len)
        len = m->len;
    memmove(m->data, m->data + len, m->len - len);
    m->len -= len;
}

/* What somebody reads stays, and nothing else. */
static void clear_rest(struct model *m)
{
    size_t first;

    bytes_peek(&m->q, &first);
    bytes_clear_rest(&m->q, &m->pool);
    m->len = first;
}

static void check_runs(const struct model *m)
{
    struct iovec iov[IOV_MAX_RUNS];
    size_t at = 0;
    int n = bytes_iov(&m->q, iov, IOV_MAX_RUNS);

    for (int i = 0; i < n; i++) {
        assert_true(iov[i].iov_len > 0 && at + iov[i].iov_len <= m->len);
        assert_memory_equal(iov[i].iov_base, m->data + at, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    assert_true(at == m->len || n == IOV_MAX_RUNS);
    assert_int_equal(bytes_iov(&m->q, iov, 1), m->len > 0);
}

static void check(struct model *m)
{
    size_t len;
    const uint8_t *data = bytes_peek(&m->q, &len);

    assert_int_equal(m->q.len, m->len);
    assert_true(len <= m->len && (len > 0) == (m->len > 0));
    if (len > 0)
        assert_memory_equal(data, m->data, len);
    assert_true(m->q.held >= m->len);
    assert_int_equal(m->pool.held, m->q.held);
    assert_true(m->pool.peak >= m->pool.held);
    if (m->len == 0) {
        assert_null(data);
        assert_int_equal(m->q.held, 0);
        assert_int_equal(m->pool.held, 0);
    }
}

static void test_against_model(void **state)
{
    static const uint32_t sizes[] = {1, 2, 100, 2024, 5000, 17000, CHUNK_MAX, 300000};
    static struct model m;

    m.random = 1;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t size = pick(&m, sizes[pick(&m, 8)]);

        if (i % 16 == 0 && size <= CHUNK_MAX)
            append_from_loan(&m, size, size - pick(&m, 2) * pick(&m, size + 1));
        else if (pick(&m, 2))
            append(&m, size);
        else if (pick(&m, 50) == 0)
            clear_rest(&m);
        else
            consume(&m, pick(&m, 50) == 0 ? SIZE_MAX : size);
        pool_end_loan(&m.pool);
        check(&m);
        if (i % 64 == 0)
            check_runs(&m);
        if (m.len > 0) /* a frame's header may be written before the first byte */
            memset(bytes_headroom(&m.q), 0xee, CHUNK_HEADROOM);
    }
    bytes_clear(&m.q, &m.pool);
    m.len = 0;
    check(&m);
    bytes_clear(&m.q, &m.pool);
    pool_clear(&m.pool);
}

static void test_empty(void **state)
{
    struct bytes q = {0};
    struct iovec iov[1];
    struct pool pool;
    size_t len = 7;

    pool_init(&pool, 0);
    assert_null(bytes_peek(&q, &len));
    assert_int_equal(len, 0);
    assert_int_equal(bytes_iov(&q, iov, 1), 0);
    bytes_append(&q, &pool, "", 0);
    bytes_consume(&q, &pool, 5);
    bytes_clear(&q, &pool);
    assert_int_equal(pool.held, 0);
    assert_int_equal(pool.peak, 0);
    pool_clear(&pool);
}

/* Small pieces share a chunk: a trickle of tokens costs one, not one each. */
static void test_small_pieces_share(void **state)
{
    struct bytes q = {0};
    struct pool pool;
    size_t one;

    pool_init(&pool, 0);
    bytes_append(&q, &pool, "x", 1);
    one = pool.held;
    for (unsigned i = 0; i < 1500; i++)
        bytes_append(&q, &pool, "x", 1);
    assert_int_equal(pool.held, one);
    assert_in_range(one, 1, 4096);
    bytes_clear(&q, &pool);
    pool_clear(&pool);
}

/* A full socket read travels as one run. */
static void test_large_piece_is_one_run(void **state)
{
    static uint8_t data[CHUNK_MAX];
    struct bytes q = {0};
    struct pool pool;
    size_t len;

    pool_init(&pool, 0);
    bytes_append(&q, &pool, data, sizeof(data));
    bytes_peek(&q, &len);
    assert_int_equal(len, sizeof(data));
    bytes_clear(&q, &pool);
    pool_clear(&pool);
}

/* How much a chunk can hold, for what was asked. */
static const struct {
    size_t want;
    size_t least;
    size_t most;
} takes[] = {
    {0, 0, 2048},
    {1, 1, 2048},
    {1900, 1900, 2048},
    {2030, 2030, 17000},
    {16384, 16384, 17000},
    {16385, 16385, CHUNK_MAX},
    {CHUNK_MAX, CHUNK_MAX, CHUNK_MAX},
    {CHUNK_MAX + 1, CHUNK_MAX, CHUNK_MAX},
    {SIZE_MAX, CHUNK_MAX, CHUNK_MAX},
};

static void test_take_and_give(void **state)
{
    struct chunk *c[sizeof(takes) / sizeof(takes[0])];
    struct pool pool;
    size_t sum = 0;

    pool_init(&pool, 0);
    for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++) {
        c[i] = pool_take(&pool, takes[i].want);
        assert_null(c[i]->next);
        assert_int_equal(c[i]->start, c[i]->end);
        assert_in_range(c[i]->size - c[i]->end, takes[i].least, takes[i].most);
        memset(c[i]->data, 1, c[i]->size);
        assert_true(pool.held >= sum + c[i]->size);
        sum = pool.held;
    }
    for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++)
        pool_give(&pool, c[i]);
    assert_int_equal(pool.held, 0);
    assert_int_equal(pool.peak, sum);
    pool_clear(&pool);
}

static void test_chunks_are_used_again(void **state)
{
    struct chunk *first;
    struct chunk *second;
    struct pool pool;

    pool_init(&pool, 0);
    first = pool_take(&pool, 10);
    first->start = first->end = 500;
    pool_give(&pool, first);
    second = pool_take(&pool, 20);
    assert_ptr_equal(first, second);
    assert_true(second->end < 100);
    pool_give(&pool, second);
    pool_clear(&pool);
    assert_null(pool.free[0]);
}

/* A full read is queued without a copy, and the loan is over. */
static void test_loan_is_taken(void **state)
{
    struct bytes q = {0};
    struct chunk *c;
    struct pool pool;
    size_t len;

    pool_init(&pool, 0);
    c = pool_lend(&pool);
    bytes_append(&q, &pool, c->data + c->start, CHUNK_MAX);
    assert_ptr_equal(bytes_peek(&q, &len), c->data + c->start);
    assert_int_equal(len, CHUNK_MAX);
    pool_end_loan(&pool);
    assert_true(pool_lend(&pool) != c);
    pool_end_loan(&pool);
    bytes_clear(&q, &pool);
    assert_int_equal(pool.held, 0);
    pool_clear(&pool);
}

/* What is small, or not the beginning of the read, is copied. */
static void test_loan_is_not_taken(void **state)
{
    static const struct {
        size_t at;
        size_t len;
    } rows[] = {{0, 1}, {0, 1000}, {1, CHUNK_MAX - 1}, {CHUNK_MAX / 2, CHUNK_MAX / 2}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes q = {0};
        struct chunk *c;
        struct pool pool;
        size_t len;

        pool_init(&pool, 0);
        c = pool_lend(&pool);
        memset(c->data + c->start, 'x', CHUNK_MAX);
        bytes_append(&q, &pool, c->data + c->start + rows[i].at, rows[i].len);
        assert_ptr_equal(pool.lent, c);
        assert_true(bytes_peek(&q, &len) != c->data + c->start + rows[i].at);
        pool_end_loan(&pool);
        assert_null(pool.lent);
        bytes_clear(&q, &pool);
        assert_int_equal(pool.held, 0);
        pool_clear(&pool);
    }
}

/* However much was in flight, only a bounded number of chunks stays; trimming leads to none. */
static void test_free_chunks_are_bounded(void **state)
{
    static const size_t wants[] = {1, 16000, CHUNK_MAX};
    enum { MANY = 200 };

    for (size_t i = 0; i < 3; i++) {
        struct chunk *c[MANY];
        struct pool pool;
        unsigned kept;

        pool_init(&pool, 0);
        for (unsigned n = 0; n < MANY; n++)
            c[n] = pool_take(&pool, wants[i]);
        for (unsigned n = 0; n < MANY; n++)
            pool_give(&pool, c[n]);
        kept = pool.n_free[i];
        assert_in_range(kept, 1, 64);
        pool_trim(&pool);
        assert_int_equal(pool.n_free[i], kept / 2);
        for (unsigned n = 0; n < 8; n++)
            pool_trim(&pool);
        assert_int_equal(pool.n_free[i], 0);
        assert_null(pool.free[i]);
        pool_clear(&pool);
    }
}

static void test_clear_rest(void **state)
{
    static uint8_t data[3 * CHUNK_MAX];
    struct bytes q = {0};
    struct pool pool;
    const uint8_t *first;
    size_t run;

    pool_init(&pool, 0);
    bytes_clear_rest(&q, &pool);
    bytes_append(&q, &pool, data, sizeof(data));
    first = bytes_peek(&q, &run);
    bytes_clear_rest(&q, &pool);
    assert_ptr_equal(bytes_peek(&q, &q.len), first);
    assert_int_equal(q.len, run);
    bytes_clear_rest(&q, &pool); /* nothing behind it */
    assert_int_equal(q.len, run);
    bytes_append(&q, &pool, "x", 1);
    assert_int_equal(q.len, run + 1);
    bytes_clear(&q, &pool);
    assert_int_equal(pool.held, 0);
    assert_int_equal(q.held, 0);
    pool_clear(&pool);
}

static void test_limit(void **state)
{
    struct bytes q = {0};
    struct pool pool;
    size_t one;

    pool_init(&pool, 0);
    bytes_append(&q, &pool, "x", 1);
    assert_false(pool_over(&pool)); /* no limit */
    one = pool.held;
    pool.limit = one;
    assert_false(pool_over(&pool));
    pool.limit = one - 1;
    assert_true(pool_over(&pool));
    bytes_clear(&q, &pool);
    assert_false(pool_over(&pool));
    pool_clear(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_small_pieces_share),
        cmocka_unit_test(test_large_piece_is_one_run),
        cmocka_unit_test(test_take_and_give),
        cmocka_unit_test(test_chunks_are_used_again),
        cmocka_unit_test(test_loan_is_taken),
        cmocka_unit_test(test_loan_is_not_taken),
        cmocka_unit_test(test_free_chunks_are_bounded),
        cmocka_unit_test(test_clear_rest),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

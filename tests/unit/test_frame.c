#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/frame.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static size_t put_head(uint8_t *out, char type, uint64_t body_len)
{
    out[0] = (uint8_t)type;
    for (int i = 0; i < 8; i++)
        out[1 + i] = (uint8_t)(body_len >> (56 - 8 * i));
    return MSG_HEAD_LEN;
}

static size_t put_frame(uint8_t *out, char type, const char *json)
{
    size_t len = strlen(json);

    put_head(out, type, len);
    memcpy(out + MSG_HEAD_LEN, json, len);
    return MSG_HEAD_LEN + len;
}

/* Feeds from memory of exactly the right size, so that a sanitizer sees any reading past it. */
static int feed(struct frame_reader *r, const uint8_t *data, size_t len, size_t *used,
                struct msg *out)
{
    uint8_t *copy = mem_alloc(len);
    int rc;

    memcpy(copy, data, len);
    rc = frame_feed(r, copy, len, used, out);
    mem_free(copy);
    return rc;
}

static void test_one_message_in_one_piece(void **state)
{
    uint8_t data[128];
    size_t len = put_frame(data, MSG_NEW_WORK_CONN, "{\"run_id\":\"r1\"}");
    struct frame_reader r;
    struct msg m;
    size_t used;

    frame_reader_init(&r);
    assert_true(frame_reader_idle(&r));
    memcpy(data + len, "relay", 5);
    assert_int_equal(feed(&r, data, len + 5, &used, &m), 0);
    assert_int_equal(used, len);
    assert_int_equal(m.type, MSG_NEW_WORK_CONN);
    assert_string_equal(m.new_work_conn.run_id, "r1");
    assert_true(frame_reader_idle(&r));
    msg_clear(&m);
}

static void test_split_at_every_byte(void **state)
{
    uint8_t data[128];
    size_t len = put_frame(data, MSG_START_WORK_CONN, "{\"proxy_name\":\"t1\",\"src_port\":9}");

    memcpy(data + len, "relay", 5);
    for (size_t cut = 0; cut < len; cut++) {
        struct frame_reader r = {0};
        struct msg m;
        size_t used;

        assert_int_equal(feed(&r, data, cut, &used, &m), ERR_MORE);
        assert_int_equal(used, cut);
        assert_int_equal(frame_reader_idle(&r), cut == 0);
        assert_int_equal(feed(&r, data + cut, len + 5 - cut, &used, &m), 0);
        assert_int_equal(used, len - cut);
        assert_string_equal(m.start_work_conn.proxy_name, "t1");
        assert_int_equal(m.start_work_conn.src_port, 9);
        assert_null(r.body);
        msg_clear(&m);
    }
}

static void test_byte_by_byte(void **state)
{
    uint8_t data[128];
    size_t len = put_frame(data, MSG_PING, "{\"timestamp\":77}");
    struct frame_reader r = {0};
    struct msg m;
    size_t used;

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i + 1 < len; i++) {
            assert_int_equal(feed(&r, data + i, 1, &used, &m), ERR_MORE);
            assert_int_equal(used, 1);
            assert_false(frame_reader_idle(&r));
        }
        assert_int_equal(feed(&r, data + len - 1, 1, &used, &m), 0);
        assert_int_equal(m.ping.timestamp, 77);
        msg_clear(&m);
    }
}

static void test_many_messages_in_one_piece(void **state)
{
    static const char types[] = "rwhs4r";
    uint8_t data[128];
    size_t len = 0, at = 0;
    struct frame_reader r = {0};

    for (size_t i = 0; i < sizeof types - 1; i++)
        len += put_frame(data + len, types[i], "{}");
    for (size_t i = 0; i < sizeof types - 1; i++) {
        struct msg m;
        size_t used;

        assert_int_equal(feed(&r, data + at, len - at, &used, &m), 0);
        assert_int_equal(m.type, types[i]);
        at += used;
    }
    assert_int_equal(at, len);
}

static void test_nothing_arrives(void **state)
{
    struct frame_reader r = {0};
    struct msg m;
    size_t used = 9;

    assert_int_equal(frame_feed(&r, (const uint8_t *)"", 0, &used, &m), ERR_MORE);
    assert_int_equal(used, 0);
    assert_true(frame_reader_idle(&r));
}

static void test_longest_body(void **state)
{
    static uint8_t data[MSG_FRAME_MAX + 1];
    static const size_t cuts[] = {0, 1, 9, 10, MSG_FRAME_MAX - 1};
    struct msg m;
    size_t used;

    put_head(data, MSG_PING, MSG_BODY_MAX);
    memset(data + MSG_HEAD_LEN, ' ', MSG_BODY_MAX + 1);
    memcpy(data + MSG_HEAD_LEN + 100, "{}", 2);
    for (size_t i = 0; i < COUNT(cuts); i++) {
        struct frame_reader r = {0};

        assert_int_equal(feed(&r, data, cuts[i], &used, &m), ERR_MORE);
        assert_int_equal(feed(&r, data + cuts[i], sizeof data - cuts[i], &used, &m), 0);
        assert_int_equal(used, MSG_FRAME_MAX - cuts[i]);
    }
}

static void test_bad_lengths(void **state)
{
    static const struct {
        uint64_t len;
        int rc;
    } rows[] = {
        {MSG_BODY_MAX + 1, ERR_LIMIT},
        {65536 + 2, ERR_LIMIT},
        {(uint64_t)1 << 32 | 2, ERR_LIMIT},
        {INT64_MAX, ERR_LIMIT},
        {0, ERR_SYNTAX},
        {UINT64_MAX, ERR_SYNTAX},
        {(uint64_t)1 << 63, ERR_SYNTAX},
        {(uint64_t)1 << 63 | 2, ERR_SYNTAX},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t data[16] = {0};
        struct frame_reader r = {0};
        struct msg m;
        size_t used;

        put_head(data, MSG_PING, rows[i].len);
        memcpy(data + MSG_HEAD_LEN, "{}", 2);
        assert_int_equal(feed(&r, data, MSG_HEAD_LEN - 1, &used, &m), ERR_MORE);
        assert_int_equal(feed(&r, data + MSG_HEAD_LEN - 1, 3, &used, &m), rows[i].rc);
        frame_reader_clear(&r);
        assert_int_equal(feed(&r, data, MSG_HEAD_LEN, &used, &m), rows[i].rc);
    }
}

static void test_unknown_type_fails_at_its_byte(void **state)
{
    struct frame_reader r = {0};
    struct msg m;
    size_t used;

    assert_int_equal(frame_feed(&r, (const uint8_t *)"F", 1, &used, &m), ERR_TYPE);
    assert_int_equal(frame_feed(&r, (const uint8_t *)"r", 1, &used, &m), ERR_TYPE);
    assert_int_equal(used, 0);
    assert_false(frame_reader_idle(&r));
    frame_reader_clear(&r);
    assert_int_equal(frame_feed(&r, (const uint8_t *)"r", 1, &used, &m), ERR_MORE);
}

static void test_known_types_without_a_struct(void **state)
{
    static const char types[] = "v3uinm56";

    for (size_t i = 0; i < sizeof types - 1; i++) {
        uint8_t data[64];
        size_t len = put_frame(data, types[i], "{\"sid\":\"x\"}");
        struct frame_reader r = {0};
        struct msg m;
        size_t used;

        assert_int_equal(feed(&r, data, len, &used, &m), 0);
        assert_int_equal(m.type, types[i]);
        assert_int_equal(used, len);
    }
}

static void test_bad_body_leaves_the_message_alone(void **state)
{
    uint8_t data[64];
    size_t len = put_frame(data, MSG_PING, "{\"timestamp\":1.5}");
    struct frame_reader r = {0};
    struct msg m = {.type = MSG_PONG, .pong = {.error = "mine"}};
    size_t used;

    assert_int_equal(feed(&r, data, len - 1, &used, &m), ERR_MORE);
    assert_int_equal(feed(&r, data + len - 1, 1, &used, &m), ERR_SYNTAX);
    assert_string_equal(m.pong.error, "mine");
    assert_null(r.body);
    len = put_frame(data, MSG_PING, "{}");
    assert_int_equal(feed(&r, data, len, &used, &m), ERR_SYNTAX);
}

static void test_null_body(void **state)
{
    uint8_t data[64];
    size_t len = put_frame(data, MSG_LOGIN, "null");
    struct frame_reader r = {0};
    struct msg m;
    size_t used;

    assert_int_equal(feed(&r, data, len, &used, &m), 0);
    assert_true(m.is_null);
}

static void test_clear_in_the_middle(void **state)
{
    uint8_t data[64];
    size_t len = put_frame(data, MSG_PING, "{\"timestamp\":5}");
    struct frame_reader r = {0};
    struct msg m;
    size_t used;

    assert_int_equal(feed(&r, data, len - 3, &used, &m), ERR_MORE);
    assert_non_null(r.body);
    frame_reader_clear(&r);
    assert_null(r.body);
    assert_int_equal(feed(&r, data, len, &used, &m), 0);
    assert_int_equal(m.ping.timestamp, 5);
    msg_clear(&m);
}

static void test_head_alone_costs_no_memory(void **state)
{
    uint8_t data[16];
    struct frame_reader r = {0};
    struct msg m;
    size_t used;

    put_head(data, MSG_LOGIN, MSG_BODY_MAX);
    assert_int_equal(feed(&r, data, MSG_HEAD_LEN, &used, &m), ERR_MORE);
    assert_null(r.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_message_in_one_piece),
        cmocka_unit_test(test_split_at_every_byte),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_many_messages_in_one_piece),
        cmocka_unit_test(test_nothing_arrives),
        cmocka_unit_test(test_longest_body),
        cmocka_unit_test(test_bad_lengths),
        cmocka_unit_test(test_unknown_type_fails_at_its_byte),
        cmocka_unit_test(test_known_types_without_a_struct),
        cmocka_unit_test(test_bad_body_leaves_the_message_alone),
        cmocka_unit_test(test_null_body),
        cmocka_unit_test(test_clear_in_the_middle),
        cmocka_unit_test(test_head_alone_costs_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

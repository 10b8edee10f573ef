#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/msg.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static size_t from_hex(uint8_t *out, const char *hex)
{
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
    return len;
}

/* Frames made by frp itself or after its documentation, and the messages they stand for. */
static const struct {
    const char *hex;
    struct msg m;
} frames[] = {
    {"7200000000000000027b7d", {.type = MSG_REQ_WORK_CONN}},
    {"6800000000000000027b7d", {.type = MSG_PING}},
    {"3400000000000000027b7d", {.type = MSG_PONG}},
    {"6f00000000000000a97b2276657273696f6e223a22302e37302e31222c22686f73746e616d65223a2268222c226f"
     "73223a226c696e7578222c2261726368223a22616d643634222c2270726976696c6567655f6b6579223a22323262"
     "6436333333663834306565656565303361643134663735666439366163222c2274696d657374616d70223a313730"
     "303030303030302c22636c69656e745f73706563223a7b7d2c22706f6f6c5f636f756e74223a317d",
     {.type = MSG_LOGIN,
      .login = {.version = "0.70.1",
                .hostname = "h",
                .os = "linux",
                .arch = "amd64",
                .privilege_key = "22bd6333f840eeeee03ad14f75fd96ac",
                .timestamp = 1700000000,
                .pool_count = 1}}},
    {"3100000000000000307b2276657273696f6e223a22302e37302e31222c2272756e5f6964223a22303132333435"
     "36373839616263646566227d",
     {.type = MSG_LOGIN_RESP, .login_resp = {.version = "0.70.1", .run_id = "0123456789abcdef"}}},
    {"7000000000000000397b2270726f78795f6e616d65223a227431222c2270726f78795f74797065223a22746370"
     "222c2272656d6f74655f706f7274223a363030307d",
     {.type = MSG_NEW_PROXY,
      .new_proxy = {.proxy_name = "t1", .proxy_type = "tcp", .remote_port = 6000}}},
    {"3200000000000000297b2270726f78795f6e616d65223a227431222c2272656d6f74655f61646472223a223a36"
     "303030227d",
     {.type = MSG_NEW_PROXY_RESP, .new_proxy_resp = {.proxy_name = "t1", .remote_addr = ":6000"}}},
    {"77000000000000001d7b2272756e5f6964223a2230313233343536373839616263646566227d",
     {.type = MSG_NEW_WORK_CONN, .new_work_conn = {.run_id = "0123456789abcdef"}}},
    {"7300000000000000657b2270726f78795f6e616d65223a227431222c227372635f61646472223a223139322e30"
     "2e322e37222c226473745f61646472223a223139382e35312e3130302e31222c227372635f706f7274223a343030"
     "30302c226473745f706f7274223a363030307d",
     {.type = MSG_START_WORK_CONN,
      .start_work_conn = {.proxy_name = "t1",
                          .src_addr = "192.0.2.7",
                          .dst_addr = "198.51.100.1",
                          .src_port = 40000,
                          .dst_port = 6000}}},
};

static void test_frames_of_frp_are_written_to_the_byte(void **state)
{
    for (size_t i = 0; i < COUNT(frames); i++) {
        uint8_t want[256], out[256];
        size_t want_len = from_hex(want, frames[i].hex);
        size_t len;

        assert_int_equal(msg_encode(&frames[i].m, out, sizeof out, &len), 0);
        assert_int_equal(len, want_len);
        assert_memory_equal(out, want, len);
    }
}

static void test_frames_of_frp_survive_reading_and_writing(void **state)
{
    for (size_t i = 0; i < COUNT(frames); i++) {
        uint8_t want[256], out[256];
        size_t want_len = from_hex(want, frames[i].hex);
        struct msg m;
        size_t len;

        assert_int_equal(msg_decode(&m, want[0], want + MSG_HEAD_LEN, want_len - MSG_HEAD_LEN), 0);
        assert_int_equal(m.type, frames[i].m.type);
        assert_int_equal(msg_encode(&m, out, sizeof out, &len), 0);
        assert_int_equal(len, want_len);
        assert_memory_equal(out, want, len);
        msg_clear(&m);
    }
}

static void assert_written(const struct msg *m, const char *json)
{
    uint8_t out[512];
    size_t len;

    assert_int_equal(msg_encode(m, out, sizeof out, &len), 0);
    out[len] = 0;
    assert_string_equal((char *)out + MSG_HEAD_LEN, json);
    assert_int_equal(out[8], strlen(json));
}

static void test_written_strings(void **state)
{
    static const struct {
        const char *text;
        const char *json;
    } rows[] = {
        {"\"\\/", "{\"error\":\"\\\"\\\\/\"}"},
        {"\b\f\n\r\t", "{\"error\":\"\\b\\f\\n\\r\\t\"}"},
        {"\x01\x1f\x7f", "{\"error\":\"\\u0001\\u001f\x7f\"}"},
        {"<a>&b", "{\"error\":\"\\u003ca\\u003e\\u0026b\"}"},
        {"\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa",
         "{\"error\":\"\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\"}"},
        {"\xc3\xa9\xf0\x9f\x98\x80", "{\"error\":\"\xc3\xa9\xf0\x9f\x98\x80\"}"},
        {"a\xff\xc3", "{\"error\":\"a\\ufffd\\ufffd\"}"},
        {"\xed\xa0\x80", "{\"error\":\"\\ufffd\\ufffd\\ufffd\"}"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct msg m = {.type = MSG_PONG, .pong = {.error = rows[i].text}};

        assert_written(&m, rows[i].json);
    }
}

static void test_written_fields(void **state)
{
    const struct msg proxy = {.type = MSG_NEW_PROXY,
                              .new_proxy = {.proxy_name = "n",
                                            .proxy_type = "",
                                            .use_encryption = true,
                                            .group_key = "k",
                                            .remote_port = -1}};
    const struct msg start = {.type = MSG_START_WORK_CONN,
                              .start_work_conn = {.dst_port = 65535, .error = "e"}};
    const struct msg ping = {.type = MSG_PING, .ping = {.timestamp = INT64_MIN}};
    const struct msg login_resp = {.type = MSG_LOGIN_RESP,
                                   .login_resp = {.error = "e", .mlgate = "m"}};
    const struct msg login = {.type = MSG_LOGIN};

    assert_written(&proxy, "{\"proxy_name\":\"n\",\"use_encryption\":true,\"group_key\":\"k\","
                           "\"remote_port\":-1}");
    assert_written(&start, "{\"dst_port\":65535,\"error\":\"e\"}");
    assert_written(&ping, "{\"timestamp\":-9223372036854775808}");
    assert_written(&login_resp, "{\"error\":\"e\",\"mlgate\":\"m\"}");
    assert_written(&login, "{\"client_spec\":{}}");
}

static void test_written_metas_are_sorted(void **state)
{
    static const struct msg_meta metas[] = {{"mlgate", "relay"}, {"a", NULL}, {"B", "<"},
                                            {"", "x"},           {"ab", "y"}, {"\xc3\xa9", "z"}};
    const struct msg m = {.type = MSG_LOGIN,
                          .login = {.user = "u", .metas = metas, .n_metas = COUNT(metas)}};

    assert_written(&m, "{\"user\":\"u\",\"metas\":{\"\":\"x\",\"B\":\"\\u003c\",\"a\":\"\","
                       "\"ab\":\"y\",\"mlgate\":\"relay\",\"\xc3\xa9\":\"z\"},"
                       "\"client_spec\":{}}");
}

static void test_too_many_metas_are_not_written(void **state)
{
    struct msg_meta metas[MSG_METAS_MAX + 1];
    char keys[MSG_METAS_MAX + 1][4];
    static uint8_t out[MSG_FRAME_MAX];
    struct msg m = {.type = MSG_LOGIN, .login = {.metas = metas, .n_metas = COUNT(metas)}};
    size_t len;

    for (size_t i = 0; i < COUNT(metas); i++) {
        snprintf(keys[i], sizeof keys[i], "%zu", i % 1000);
        metas[i] = (struct msg_meta){keys[i], "v"};
    }
    assert_int_equal(msg_encode(&m, out, sizeof out, &len), ERR_LIMIT);
    m.login.n_metas--;
    assert_int_equal(msg_encode(&m, out, sizeof out, &len), 0);
}

static void test_limit_of_the_written_body(void **state)
{
    static char text[MSG_BODY_MAX];
    static uint8_t out[MSG_FRAME_MAX + 100];
    struct msg m = {.type = MSG_PONG, .pong = {.error = text}};
    const size_t around = strlen("{\"error\":\"\"}");
    size_t len;

    memset(text, 'x', MSG_BODY_MAX - around);
    assert_int_equal(msg_encode(&m, out, sizeof out, &len), 0);
    assert_int_equal(len, MSG_FRAME_MAX);
    text[MSG_BODY_MAX - around] = 'x';
    assert_int_equal(msg_encode(&m, out, sizeof out, &len), ERR_LIMIT);
    assert_int_equal(len, 0);
}

static void test_small_output(void **state)
{
    const struct msg m = {.type = MSG_CLOSE_PROXY, .close_proxy = {.proxy_name = "n"}};
    uint8_t out[64];
    size_t len, want;

    assert_int_equal(msg_encode(&m, out, sizeof out, &want), 0);
    for (size_t size = 0; size < want; size++) {
        memset(out, 0xa5, sizeof out);
        assert_int_equal(msg_encode(&m, out, size, &len), ERR_LIMIT);
        assert_int_equal(len, 0);
        assert_int_equal(out[size], 0xa5);
    }
    assert_int_equal(msg_encode(&m, out, want, &len), 0);
    assert_int_equal(len, want);
}

static void test_clear_of_hand_built_messages(void **state)
{
    struct msg m = {.type = MSG_PONG, .pong = {.error = "static"}};

    msg_clear(&m);
    assert_null(m.pong.error);
    msg_clear(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_of_frp_are_written_to_the_byte),
        cmocka_unit_test(test_frames_of_frp_survive_reading_and_writing),
        cmocka_unit_test(test_written_strings),
        cmocka_unit_test(test_written_fields),
        cmocka_unit_test(test_written_metas_are_sorted),
        cmocka_unit_test(test_too_many_metas_are_not_written),
        cmocka_unit_test(test_limit_of_the_written_body),
        cmocka_unit_test(test_small_output),
        cmocka_unit_test(test_clear_of_hand_built_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static int decode(struct msg *m, enum msg_type type, const char *json)
{
    return msg_decode(m, (uint8_t)type, (const uint8_t *)json, strlen(json));
}

static void test_every_field_of_login(void **state)
{
    struct msg m;

    assert_int_equal(
        decode(&m, MSG_LOGIN,
               "{\"version\":\"a\",\"hostname\":\"b\",\"os\":\"c\",\"arch\":\"d\",\"user\":\"e\","
               "\"privilege_key\":\"f\",\"timestamp\":-7,\"run_id\":\"g\",\"client_id\":\"h\","
               "\"metas\":{\"k\":\"v\",\"mlgate\":\"relay\"},"
               "\"client_spec\":{\"type\":\"ssh\",\"always_auth_pass\":true},\"pool_count\":-8}"),
        0);
    assert_false(m.is_null);
    assert_string_equal(m.login.version, "a");
    assert_string_equal(m.login.hostname, "b");
    assert_string_equal(m.login.os, "c");
    assert_string_equal(m.login.arch, "d");
    assert_string_equal(m.login.user, "e");
    assert_string_equal(m.login.privilege_key, "f");
    assert_int_equal(m.login.timestamp, -7);
    assert_string_equal(m.login.run_id, "g");
    assert_string_equal(m.login.client_id, "h");
    assert_int_equal(m.login.n_metas, 2);
    assert_string_equal(msg_login_meta(&m.login, "k"), "v");
    assert_string_equal(msg_login_meta(&m.login, "mlgate"), "relay");
    assert_null(msg_login_meta(&m.login, "K"));
    assert_int_equal(m.login.pool_count, -8);
    msg_clear(&m);
    assert_null(m.store);
}

static void test_every_field_of_new_proxy(void **state)
{
    struct msg m;

    assert_int_equal(decode(&m, MSG_NEW_PROXY,
                            "{\"proxy_name\":\"a\",\"proxy_type\":\"b\",\"use_encryption\":true,"
                            "\"use_compression\":true,\"bandwidth_limit\":\"c\","
                            "\"bandwidth_limit_mode\":\"d\",\"group\":\"e\",\"group_key\":\"f\","
                            "\"metas\":{\"x\":\"y\"},\"remote_port\":70000,"
                            "\"custom_domains\":[\"q\",\"r\"],\"headers\":{\"s\":\"t\"}}"),
                     0);
    assert_string_equal(m.new_proxy.proxy_name, "a");
    assert_string_equal(m.new_proxy.proxy_type, "b");
    assert_true(m.new_proxy.use_encryption);
    assert_true(m.new_proxy.use_compression);
    assert_string_equal(m.new_proxy.bandwidth_limit, "c");
    assert_string_equal(m.new_proxy.bandwidth_limit_mode, "d");
    assert_string_equal(m.new_proxy.group, "e");
    assert_string_equal(m.new_proxy.group_key, "f");
    assert_int_equal(m.new_proxy.remote_port, 70000);
    msg_clear(&m);
}

static void test_the_other_messages(void **state)
{
    struct msg m;

    assert_int_equal(decode(&m, MSG_LOGIN_RESP, "{\"error\":\"no\",\"mlgate\":\"relay proof\"}"),
                     0);
    assert_string_equal(m.login_resp.error, "no");
    assert_string_equal(m.login_resp.mlgate, "relay proof");
    assert_string_equal(m.login_resp.run_id, "");
    msg_clear(&m);
    assert_int_equal(decode(&m, MSG_NEW_PROXY_RESP, "{\"error\":\"no\"}"), 0);
    assert_string_equal(m.new_proxy_resp.error, "no");
    msg_clear(&m);
    assert_int_equal(decode(&m, MSG_CLOSE_PROXY, "{\"proxy_name\":\"t1\"}"), 0);
    assert_string_equal(m.close_proxy.proxy_name, "t1");
    msg_clear(&m);
    assert_int_equal(
        decode(&m, MSG_NEW_WORK_CONN, "{\"run_id\":\"r\",\"privilege_key\":\"k\",\"timestamp\":5}"),
        0);
    assert_string_equal(m.new_work_conn.run_id, "r");
    assert_string_equal(m.new_work_conn.privilege_key, "k");
    assert_int_equal(m.new_work_conn.timestamp, 5);
    msg_clear(&m);
    assert_int_equal(decode(&m, MSG_START_WORK_CONN, "{\"error\":\"pool\"}"), 0);
    assert_string_equal(m.start_work_conn.error, "pool");
    msg_clear(&m);
    assert_int_equal(decode(&m, MSG_PING, "{\"privilege_key\":\"k\",\"timestamp\":9}"), 0);
    assert_string_equal(m.ping.privilege_key, "k");
    assert_int_equal(m.ping.timestamp, 9);
    msg_clear(&m);
    assert_int_equal(decode(&m, MSG_PONG, "{\"error\":\"invalid ping\"}"), 0);
    assert_string_equal(m.pong.error, "invalid ping");
    msg_clear(&m);
}

/* A Ping's key and time after reading `json`. */
static const struct {
    const char *json;
    const char *key;
    int64_t timestamp;
} accepted[] = {
    {"{}", "", 0},
    {" \t\r\n{ } \n", "", 0},
    {"{\"timestamp\":1,\"privilege_key\":\"k\"}", "k", 1},
    {" { \"timestamp\" : 1 , \"privilege_key\" : \"k\" } ", "k", 1},
    /* Keys: case does not matter, unknown ones may hold anything. */
    {"{\"TimeStamp\":1,\"PRIVILEGE_KEY\":\"k\"}", "k", 1},
    {"{\"time\\u0073tamp\":3}", "", 3},
    {"{\"timestam\":1,\"timestamps\":2,\"\":3,\"x\":{\"timestamp\":4}}", "", 0},
    {"{\"x\":[1,-2.5e+7,0.1,1E9,-0,true,false,null,\"\\u0000\\ud800\",{},[],{\"a\":[{}]}]}", "", 0},
    {"{\"x\":1e999,\"y\":123456789012345678901234567890}", "", 0},
    {"{\"\\u0000\":1,\"\\ud800\":2,\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":3}", "",
     0},
    {"{\"x\":\"\xff\"}", "", 0},
    /* Duplicates: the last wins, null changes nothing. */
    {"{\"timestamp\":1,\"timestamp\":2}", "", 2},
    {"{\"timestamp\":1,\"TIMESTAMP\":2,\"timestamp\":3}", "", 3},
    {"{\"privilege_key\":\"a\",\"privilege_key\":\"b\"}", "b", 0},
    {"{\"privilege_key\":\"a\",\"privilege_key\":\"\"}", "", 0},
    {"{\"privilege_key\":\"a\",\"privilege_key\":null,\"timestamp\":7,\"timestamp\":null}", "a", 7},
    {"{\"privilege_key\":null,\"timestamp\":null}", "", 0},
    /* Integers. */
    {"{\"timestamp\":0}", "", 0},
    {"{\"timestamp\":-0}", "", 0},
    {"{\"timestamp\":9223372036854775807}", "", INT64_MAX},
    {"{\"timestamp\":-9223372036854775808}", "", INT64_MIN},
    /* Strings. */
    {"{\"privilege_key\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t", 0},
    {"{\"privilege_key\":\"\\u0041\\u00e9\\u20ac\\u20AC\"}", "A\xc3\xa9\xe2\x82\xac\xe2\x82\xac",
     0},
    {"{\"privilege_key\":\"\\uABCD\\uefEF\"}", "\xea\xaf\x8d\xee\xbf\xaf", 0},
    {"{\"privilege_key\":\"\\ud83d\\uDE00\"}", "\xf0\x9f\x98\x80", 0},
    {"{\"privilege_key\":\"\\ud800\\udc00\\udbff\\udfff\"}", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 0},
    {"{\"privilege_key\":\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"}",
     "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", 0},
    {"{\"privilege_key\":\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\x7f\"}",
     "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\x7f", 0},
    {"{\"privilege_key\":\"\\u0001\\u2028\\u003c\"}", "\x01\xe2\x80\xa8<", 0},
};

static void test_accepted_bodies(void **state)
{
    for (size_t i = 0; i < COUNT(accepted); i++) {
        struct msg m;

        if (decode(&m, MSG_PING, accepted[i].json) != 0)
            fail_msg("refused: %s", accepted[i].json);
        assert_false(m.is_null);
        assert_string_equal(m.ping.privilege_key, accepted[i].key);
        assert_int_equal(m.ping.timestamp, accepted[i].timestamp);
        msg_clear(&m);
    }
}

static const char *const refused[] = {
    "",
    " ",
    "{",
    "}",
    "{}}",
    "{} x",
    "{}{}",
    "{}null",
    "nul",
    "nullx",
    "null null",
    "Null",
    "[]",
    "\"x\"",
    "0",
    "true",
    /* Grammar. */
    "{\"x\"}",
    "{\"x\":}",
    "{\"x\":1,}",
    "{,}",
    "{,\"x\":1}",
    "{\"x\":1 \"y\":2}",
    "{\"x\" 1}",
    "{x:1}",
    "{'x':1}",
    "{\"x\":1]",
    "{\"x\":[1}",
    "{\"x\":[1,]}",
    "{\"x\":[,1]}",
    "{\"x\":[1 2]}",
    "{\"x\":tru}",
    "{\"x\":True}",
    "{\"x\":nan}",
    "{\"x\":01}",
    "{\"x\":+1}",
    "{\"x\":1.}",
    "{\"x\":.5}",
    "{\"x\":1e}",
    "{\"x\":1e+}",
    "{\"x\":-}",
    "{\"x\":0x1}",
    "{\"x\":\"\n\"}",
    "{\"x\":\"\\x\"}",
    "{\"x\":\"\\u12g4\"}",
    "{\"x\":\"\\u123\"}",
    "{\"x\":\"\\",
    "{\"x\":\"\\u12",
    "{\"x\":\"abc",
    "{\"x\":1}/**/",
    "\xef\xbb\xbf{}",
    /* Wrong types for a field, also when a later duplicate is right. */
    "{\"timestamp\":\"5\"}",
    "{\"timestamp\":1.0}",
    "{\"timestamp\":1e3}",
    "{\"timestamp\":1E3}",
    "{\"timestamp\":true}",
    "{\"timestamp\":[]}",
    "{\"timestamp\":{}}",
    "{\"timestamp\":9223372036854775808}",
    "{\"timestamp\":-9223372036854775809}",
    "{\"timestamp\":99999999999999999999999999}",
    "{\"timestamp\":\"x\",\"timestamp\":1}",
    "{\"privilege_key\":5}",
    "{\"privilege_key\":false}",
    "{\"privilege_key\":[\"x\"]}",
    "{\"privilege_key\":{}}",
    /* Strings that a C string or a log cannot hold faithfully. */
    "{\"privilege_key\":\"a\\u0000b\"}",
    "{\"privilege_key\":\"\\ud800\"}",
    "{\"privilege_key\":\"\\udc00\"}",
    "{\"privilege_key\":\"\\ud800\\ud800\"}",
    "{\"privilege_key\":\"\\ud800x\\udc00\"}",
    "{\"privilege_key\":\"\\ud800\\n\"}",
    "{\"privilege_key\":\"\x80\"}",
    "{\"privilege_key\":\"\xc0\x80\"}",
    "{\"privilege_key\":\"\xc1\xbf\"}",
    "{\"privilege_key\":\"\xc3\"}",
    "{\"privilege_key\":\"\xe0\x9f\xbf\"}",
    "{\"privilege_key\":\"\xed\xa0\x80\"}",
    "{\"privilege_key\":\"\xe2\x82\"}",
    "{\"privilege_key\":\"\xe2\x82x\"}",
    "{\"privilege_key\":\"\xf0\x8f\xbf\xbf\"}",
    "{\"privilege_key\":\"\xf4\x90\x80\x80\"}",
    "{\"privilege_key\":\"\xf5\x80\x80\x80\"}",
    "{\"privilege_key\":\"\xff\"}",
};

static void test_refused_bodies(void **state)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct msg m;

        if (decode(&m, MSG_PING, refused[i]) != ERR_SYNTAX)
            fail_msg("not refused: %s", refused[i]);
        assert_null(m.store);
    }
}

static void test_nul_byte_in_the_body(void **state)
{
    static const char *const bodies[] = {
        "{}0", "0{}", "{\"x\":\"0\"}", "{\"privilege_key\":\"0\"}", "{\"x\":0}", "{\"x\":\"\\0\"}"};

    for (size_t i = 0; i < COUNT(bodies); i++) {
        uint8_t body[32];
        size_t len = strlen(bodies[i]);
        struct msg m;

        memcpy(body, bodies[i], len);
        *(uint8_t *)memchr(body, '0', len) = 0;
        assert_int_equal(msg_decode(&m, MSG_PING, body, len), ERR_SYNTAX);
    }
}

static void test_every_truncation_is_refused(void **state)
{
    static const char body[] = "{\"version\":\"\\u00e9\",\"timestamp\":-12,\"metas\":{\"a\":\"b\"},"
                               "\"x\":[true,null,{\"y\":1.5e-3}],\"pool_count\":1}";
    struct msg m;

    for (size_t len = 0; len < sizeof body - 1; len++)
        assert_int_equal(msg_decode(&m, MSG_LOGIN, (const uint8_t *)body, len), ERR_SYNTAX);
    assert_int_equal(decode(&m, MSG_LOGIN, body), 0);
    msg_clear(&m);
}

static void test_null_body(void **state)
{
    static const enum msg_type types[] = {MSG_LOGIN, MSG_PING, MSG_REQ_WORK_CONN, MSG_UDP_PACKET};

    for (size_t i = 0; i < COUNT(types); i++) {
        struct msg m;

        assert_int_equal(decode(&m, types[i], " null\n"), 0);
        assert_true(m.is_null);
        assert_int_equal(m.type, types[i]);
        msg_clear(&m);
    }
}

static void test_ports_of_start_work_conn(void **state)
{
    static const struct {
        const char *json;
        int rc;
        uint16_t port;
    } rows[] = {
        {"{\"src_port\":0}", 0, 0},
        {"{\"src_port\":65535}", 0, 65535},
        {"{\"src_port\":null}", 0, 0},
        {"{\"src_port\":65536}", ERR_SYNTAX, 0},
        {"{\"src_port\":70000}", ERR_SYNTAX, 0},
        {"{\"src_port\":-1}", ERR_SYNTAX, 0},
        {"{\"src_port\":-0}", ERR_SYNTAX, 0},
        {"{\"src_port\":1.0}", ERR_SYNTAX, 0},
        {"{\"src_port\":\"1\"}", ERR_SYNTAX, 0},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct msg m;

        assert_int_equal(decode(&m, MSG_START_WORK_CONN, rows[i].json), rows[i].rc);
        if (rows[i].rc == 0)
            assert_int_equal(m.start_work_conn.src_port, rows[i].port);
        msg_clear(&m);
    }
}

static void test_bools(void **state)
{
    static const struct {
        const char *json;
        int rc;
        bool value;
    } rows[] = {
        {"{\"use_encryption\":true}", 0, true},
        {"{\"use_encryption\":false}", 0, false},
        {"{\"use_encryption\":null}", 0, false},
        {"{\"use_encryption\":true,\"use_encryption\":null}", 0, true},
        {"{\"use_encryption\":true,\"use_encryption\":false}", 0, false},
        {"{\"use_encryption\":1}", ERR_SYNTAX, false},
        {"{\"use_encryption\":\"true\"}", ERR_SYNTAX, false},
        {"{\"use_encryption\":truex}", ERR_SYNTAX, false},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct msg m;

        assert_int_equal(decode(&m, MSG_NEW_PROXY, rows[i].json), rows[i].rc);
        if (rows[i].rc == 0)
            assert_int_equal(m.new_proxy.use_encryption, rows[i].value);
        msg_clear(&m);
    }
}

static void test_metas(void **state)
{
    static const struct {
        const char *json;
        int rc;
        size_t n;
        const char *a; /* the value of "a", NULL when absent */
    } rows[] = {
        {"{\"metas\":null}", 0, 0, NULL},
        {"{\"metas\":{}}", 0, 0, NULL},
        {"{\"metas\":{\"a\":\"\"}}", 0, 1, ""},
        {"{\"metas\":{\"a\":null}}", 0, 1, ""},
        {"{\"metas\":{\"\":\"\"}}", 0, 1, NULL},
        {"{\"metas\":{\"A\":\"x\",\"a\":\"y\"}}", 0, 2, "y"},
        {"{\"metas\":{\"a\":\"x\",\"a\":\"y\"}}", 0, 1, "y"},
        {"{\"metas\":{\"a\":\"x\",\"a\":null}}", 0, 1, ""},
        {"{\"metas\":{\"a\":\"x\"},\"metas\":{\"b\":\"y\"}}", 0, 2, "x"},
        {"{\"metas\":{\"a\":\"x\"},\"metas\":null}", 0, 1, "x"},
        {"{\"metas\":{\"\\u0061\":\"\\u0078\"}}", 0, 1, "x"},
        {"{\"metas\":{\"a\":1}}", ERR_SYNTAX, 0, NULL},
        {"{\"metas\":{\"a\":{}}}", ERR_SYNTAX, 0, NULL},
        {"{\"metas\":{\"a\":\"\\u0000\"}}", ERR_SYNTAX, 0, NULL},
        {"{\"metas\":{\"\\u0000\":\"a\"}}", ERR_SYNTAX, 0, NULL},
        {"{\"metas\":[]}", ERR_SYNTAX, 0, NULL},
        {"{\"metas\":\"a\"}", ERR_SYNTAX, 0, NULL},
        {"{\"metas\":{\"a\":\"x\",}}", ERR_SYNTAX, 0, NULL},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct msg m;
        const char *a;

        if (decode(&m, MSG_LOGIN, rows[i].json) != rows[i].rc)
            fail_msg("wrong result for %s", rows[i].json);
        a = msg_login_meta(&m.login, "a");
        assert_int_equal(m.login.n_metas, rows[i].n);
        assert_int_equal(a == NULL, rows[i].a == NULL);
        if (a != NULL)
            assert_string_equal(a, rows[i].a);
        msg_clear(&m);
    }
}

/* {"metas":{"0":"", … }} with `n` entries of different keys. */
static size_t many_metas(char *out, size_t size, size_t n)
{
    size_t len = (size_t)snprintf(out, size, "{\"metas\":{");

    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(out + len, size - len, "%s\"%zu\":\"\"", i > 0 ? "," : "", i);
    return len + (size_t)snprintf(out + len, size - len, "}}");
}

static void test_number_of_metas(void **state)
{
    char body[4096];
    struct msg m;

    many_metas(body, sizeof body, MSG_METAS_MAX);
    assert_int_equal(decode(&m, MSG_LOGIN, body), 0);
    assert_int_equal(m.login.n_metas, MSG_METAS_MAX);
    msg_clear(&m);
    many_metas(body, sizeof body, MSG_METAS_MAX + 1);
    assert_int_equal(decode(&m, MSG_LOGIN, body), ERR_LIMIT);
    msg_clear(&m);
}

static void test_shortest_metas_fit(void **state)
{
    struct msg m;

    assert_int_equal(decode(&m, MSG_LOGIN,
                            "{\"metas\":{\"\":\"\",\"1\":\"\",\"2\":\"\",\"3\":\"\",\"4\":\"\","
                            "\"5\":\"\",\"6\":\"\",\"7\":\"\",\"8\":\"\",\"9\":\"\"}}"),
                     0);
    assert_int_equal(m.login.n_metas, 10);
    msg_clear(&m);
}

static void test_nesting(void **state)
{
    static const char open[] = "{\"x\":";

    for (size_t depth = 63; depth <= 65; depth++) {
        char body[256];
        struct msg m;
        size_t len = sizeof open - 1;

        memcpy(body, open, len);
        memset(body + len, '[', depth);
        memset(body + len + depth, ']', depth);
        body[len + 2 * depth] = '}';
        assert_int_equal(msg_decode(&m, MSG_PING, (uint8_t *)body, len + 2 * depth + 1),
                         depth <= 64 ? 0 : ERR_SYNTAX);
    }
}

static void test_a_body_of_brackets(void **state)
{
    static uint8_t body[MSG_BODY_MAX];
    struct msg m;

    memset(body, '[', sizeof body);
    memcpy(body, "{\"x\":", 5);
    assert_int_equal(msg_decode(&m, MSG_PING, body, sizeof body), ERR_SYNTAX);
}

static void test_size_of_the_body(void **state)
{
    static uint8_t body[MSG_BODY_MAX + 1];
    struct msg m;

    memset(body, ' ', sizeof body);
    memcpy(body, "{}", 2);
    assert_int_equal(msg_decode(&m, MSG_PING, body, MSG_BODY_MAX), 0);
    assert_int_equal(msg_decode(&m, MSG_PING, body, MSG_BODY_MAX + 1), ERR_LIMIT);
}

static void test_types(void **state)
{
    static const char known[] = "o1p2cwrsv3h4uinm56";
    static const char handled[] = "o1p2cwrsh4";

    for (int type = 0; type < 256; type++) {
        bool is_known = type != 0 && strchr(known, type) != NULL;
        bool is_handled = type != 0 && strchr(handled, type) != NULL;
        struct msg m;

        assert_int_equal(msg_type_known((uint8_t)type), is_known);
        assert_int_equal(msg_type_handled((uint8_t)type), is_handled);
        assert_int_equal(strcmp(msg_type_name((uint8_t)type), "unknown") != 0, is_known);
        assert_int_equal(decode(&m, (enum msg_type)type, "{}"), is_known ? 0 : ERR_TYPE);
        assert_int_equal(m.type, is_known ? type : 0);
        msg_clear(&m);
    }
    assert_string_equal(msg_type_name(MSG_NAT_HOLE_RESP), "NatHoleResp");
}

static void test_types_without_a_struct(void **state)
{
    struct msg m;
    uint8_t out[64];
    size_t len = 1;

    assert_int_equal(decode(&m, MSG_UDP_PACKET, "{\"c\":\"aGk=\",\"r\":{\"Port\":1}}"), 0);
    assert_int_equal(m.type, MSG_UDP_PACKET);
    assert_null(m.store);
    assert_int_equal(decode(&m, MSG_UDP_PACKET, "[]"), ERR_SYNTAX);
    assert_int_equal(decode(&m, MSG_UDP_PACKET, "{\"c\":}"), ERR_SYNTAX);
    m.type = MSG_UDP_PACKET;
    assert_int_equal(msg_encode(&m, out, sizeof out, &len), ERR_TYPE);
    assert_int_equal(len, 0);
    m.type = (enum msg_type)'F';
    assert_int_equal(msg_encode(&m, out, sizeof out, &len), ERR_TYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_of_login),
        cmocka_unit_test(test_every_field_of_new_proxy),
        cmocka_unit_test(test_the_other_messages),
        cmocka_unit_test(test_accepted_bodies),
        cmocka_unit_test(test_refused_bodies),
        cmocka_unit_test(test_nul_byte_in_the_body),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_null_body),
        cmocka_unit_test(test_ports_of_start_work_conn),
        cmocka_unit_test(test_bools),
        cmocka_unit_test(test_metas),
        cmocka_unit_test(test_number_of_metas),
        cmocka_unit_test(test_shortest_metas_fit),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_a_body_of_brackets),
        cmocka_unit_test(test_size_of_the_body),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_types_without_a_struct),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

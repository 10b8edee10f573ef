#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "base/err.h"
#include "proto/cipher.h"

/* Key of token "abc", IV 00..0f, a Ping and a NewProxy: made by frp's own library. */
static const char stream_hex[] =
    "000102030405060708090a0b0c0d0e0fc6740161fd1427c7cbb905f297902f91335bf08edff86e6d3341d213078f"
    "539471c3b1579891e8f250ad838ab84dce1d1635538992546746e944f6b34d36321f977681cb101a4b626ee5399d"
    "bd";
static const char plain_hex[] =
    "6800000000000000027b7d7000000000000000397b2270726f78795f6e616d65223a227431222c2270726f78795f"
    "74797065223a22746370222c2272656d6f74655f706f7274223a363030307d";

enum {
    BIG = 10000, /* more than two of the reader's batches */
};

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

static const uint8_t iv_0_to_f[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static struct cipher *writer_for(const char *secret)
{
    uint8_t key[CIPHER_KEY_LEN];

    assert_int_equal(cipher_key(key, secret, strlen(secret)), 0);
    return cipher_new_writer(key, iv_0_to_f);
}

static struct cipher *reader_for(const char *secret)
{
    uint8_t key[CIPHER_KEY_LEN];

    assert_int_equal(cipher_key(key, secret, strlen(secret)), 0);
    return cipher_new_reader(key);
}

static void test_known_keys(void **state)
{
    static const struct {
        const char *secret;
        const char *key;
    } vectors[] = {
        {"abc", "62e5ed67fdd04e5f1f71d779ceb9667f"},
        {"", "cdc9dc4c472c37331281df4c232a8407"},
        {"12345678", "b7eac3f66310824c114f56f8274fdfea"},
        {"sk1", "77953f1b28539e1868c09b9583790567"},
    };

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t key[CIPHER_KEY_LEN], want[CIPHER_KEY_LEN];

        from_hex(want, vectors[i].key);
        assert_int_equal(cipher_key(key, vectors[i].secret, strlen(vectors[i].secret)), 0);
        assert_memory_equal(key, want, sizeof want);
    }
}

static void test_empty_secret_may_be_null(void **state)
{
    uint8_t key[CIPHER_KEY_LEN], want[CIPHER_KEY_LEN];

    assert_int_equal(cipher_key(want, "", 0), 0);
    assert_int_equal(cipher_key(key, NULL, 0), 0);
    assert_memory_equal(key, want, sizeof want);
}

/* Sends `len` bytes of `in` through in two portions cut at `cut`, each in its own memory. */
static size_t in_two(struct cipher *c, const uint8_t *in, size_t len, size_t cut, uint8_t *out,
                     size_t size)
{
    size_t first, second;

    assert_non_null(c);
    assert_int_equal(cipher_update(c, in, cut, out, size, &first), 0);
    assert_int_equal(cipher_update(c, in + cut, len - cut, out + first, size - first, &second), 0);
    cipher_free(c);
    return first + second;
}

static void test_known_stream_cut_everywhere(void **state)
{
    uint8_t plain[128], stream[128], out[160];
    size_t plain_len = from_hex(plain, plain_hex);
    size_t stream_len = from_hex(stream, stream_hex);

    assert_int_equal(stream_len, plain_len + CIPHER_IV_LEN);
    for (size_t cut = 0; cut <= plain_len; cut++) {
        assert_int_equal(in_two(writer_for("abc"), plain, plain_len, cut, out, stream_len),
                         stream_len);
        assert_memory_equal(out, stream, stream_len);
    }
    for (size_t cut = 0; cut <= stream_len; cut++) {
        assert_int_equal(in_two(reader_for("abc"), stream, stream_len, cut, out, plain_len),
                         plain_len);
        assert_memory_equal(out, plain, plain_len);
    }
}

static void test_relayed_payload_behind_compression(void **state)
{
    uint8_t want[64], plain[64], out[64];
    size_t want_len =
        from_hex(want, "000102030405060708090a0b0c0d0e0f517201618e5a4697b99b798b9790948e4230f7cff2"
                       "c731");
    size_t len = from_hex(plain, "ff060000734e6150705901090000bb1f1c1968656c6c6f");

    assert_int_equal(in_two(writer_for("abc"), plain, len, 10, out, sizeof out), want_len);
    assert_memory_equal(out, want, want_len);
    assert_int_equal(in_two(reader_for("abc"), want, want_len, 1, out, sizeof out), len);
    assert_memory_equal(out, plain, len);
}

static void test_byte_by_byte(void **state)
{
    uint8_t plain[128], stream[128];
    size_t plain_len = from_hex(plain, plain_hex);
    size_t stream_len = from_hex(stream, stream_hex);
    struct cipher *c = reader_for("abc");
    size_t got = 0;

    for (size_t i = 0; i < stream_len; i++) {
        uint8_t out;
        size_t n;

        assert_int_equal(cipher_update(c, stream + i, 1, &out, i < CIPHER_IV_LEN ? 0 : 1, &n), 0);
        assert_int_equal(n, i < CIPHER_IV_LEN ? 0 : 1);
        if (n == 1)
            assert_int_equal(out, plain[got++]);
    }
    assert_int_equal(got, plain_len);
    cipher_free(c);
}

static void test_in_place(void **state)
{
    uint8_t plain[128], stream[128], buf[160];
    size_t plain_len = from_hex(plain, plain_hex);
    size_t stream_len = from_hex(stream, stream_hex);
    struct cipher *writer = writer_for("abc"), *reader = reader_for("abc");
    size_t n;

    memcpy(buf, plain, plain_len);
    assert_int_equal(cipher_update(writer, buf, plain_len, buf, sizeof buf, &n), 0);
    assert_int_equal(n, stream_len);
    assert_memory_equal(buf, stream, stream_len);
    assert_int_equal(cipher_update(reader, buf, n, buf, sizeof buf, &n), 0);
    assert_int_equal(n, plain_len);
    assert_memory_equal(buf, plain, plain_len);
    /* And once more behind the IV, where nothing moves. */
    assert_int_equal(cipher_update(writer, buf, plain_len, buf, plain_len, &n), 0);
    assert_int_equal(n, plain_len);
    assert_memory_not_equal(buf, plain, plain_len);
    assert_int_equal(cipher_update(reader, buf, n, buf, plain_len, &n), 0);
    assert_memory_equal(buf, plain, plain_len);
    cipher_free(writer);
    cipher_free(reader);
}

/* The reader makes its own keystream in batches: it must agree with the library's CFB over several
 * batches, from every position within a block, in place and out of place. */
static void test_long_stream_agrees_with_the_library(void **state)
{
    static uint8_t stream[CIPHER_IV_LEN + BIG], want[BIG], out[CIPHER_IV_LEN + BIG];
    uint8_t key[CIPHER_KEY_LEN];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n;

    for (size_t i = 0; i < sizeof stream; i++)
        stream[i] = (uint8_t)(i * 167 + (i >> 7));
    assert_int_equal(cipher_key(key, "abc", 3), 0);
    assert_int_equal(EVP_DecryptInit_ex(ctx, EVP_aes_128_cfb128(), NULL, key, stream), 1);
    assert_int_equal(EVP_DecryptUpdate(ctx, want, &n, stream + CIPHER_IV_LEN, BIG), 1);
    EVP_CIPHER_CTX_free(ctx);
    for (size_t cut = 0; cut <= 2 * CIPHER_IV_LEN; cut++) {
        struct cipher *c = reader_for("abc");
        size_t first, second;

        assert_int_equal(in_two(reader_for("abc"), stream, sizeof stream, cut, out, sizeof out),
                         BIG);
        assert_memory_equal(out, want, BIG);
        memcpy(out, stream, sizeof out);
        assert_int_equal(cipher_update(c, out, cut, out, cut, &first), 0);
        assert_memory_equal(out, want, first);
        assert_int_equal(
            cipher_update(c, out + cut, sizeof out - cut, out + cut, sizeof out - cut, &second), 0);
        assert_int_equal(first + second, BIG);
        assert_memory_equal(out + cut, want + first, second);
        cipher_free(c);
    }
}

static void test_iv_waits_for_data(void **state)
{
    struct cipher *c = writer_for("abc");
    uint8_t out[32];
    size_t n = 99;

    assert_int_equal(cipher_update(c, (const uint8_t *)"", 0, out, 0, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(cipher_update(c, (const uint8_t *)"x", 1, out, sizeof out, &n), 0);
    assert_int_equal(n, 17);
    assert_memory_equal(out, iv_0_to_f, CIPHER_IV_LEN);
    assert_int_equal(cipher_update(c, (const uint8_t *)"y", 1, out, 1, &n), 0);
    assert_int_equal(n, 1);
    cipher_free(c);
}

static void test_too_small_output_takes_nothing(void **state)
{
    uint8_t plain[128], stream[128], out[160];
    size_t plain_len = from_hex(plain, plain_hex);
    size_t stream_len = from_hex(stream, stream_hex);
    struct cipher *c = writer_for("abc");
    size_t n;

    assert_int_equal(cipher_update(c, plain, plain_len, out, stream_len - 1, &n), ERR_LIMIT);
    assert_int_equal(n, 0);
    assert_int_equal(cipher_update(c, plain, plain_len, out, stream_len, &n), 0);
    assert_memory_equal(out, stream, stream_len);
    assert_int_equal(cipher_update(c, plain, 5, out, 4, &n), ERR_LIMIT);
    cipher_free(c);
    c = reader_for("abc");
    assert_int_equal(cipher_update(c, stream, stream_len, out, plain_len - 1, &n), ERR_LIMIT);
    assert_int_equal(n, 0);
    assert_int_equal(cipher_update(c, stream, stream_len, out, plain_len, &n), 0);
    assert_memory_equal(out, plain, plain_len);
    cipher_free(c);
}

static void test_free_null(void **state)
{
    cipher_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_keys),
        cmocka_unit_test(test_empty_secret_may_be_null),
        cmocka_unit_test(test_known_stream_cut_everywhere),
        cmocka_unit_test(test_relayed_payload_behind_compression),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_long_stream_agrees_with_the_library),
        cmocka_unit_test(test_iv_waits_for_data),
        cmocka_unit_test(test_too_small_output_takes_nothing),
        cmocka_unit_test(test_free_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

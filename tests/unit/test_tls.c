/* TLS without sockets: two ends joined by their byte queues, and who is trusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "net/certificate.h"
#include "net/tls.h"

struct end {
    struct tls *tls;
    struct bytes out;
    uint8_t got[256 * 1024];
    size_t n_got;
};

struct fixture {
    char dir[64];
    char *cert;
    char *key;
    char pin[CERTIFICATE_PIN_SIZE];
    struct pool pool;
    struct tls_context *client_context;
    struct tls_context *server_context;
    struct end client;
    struct end server;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    char error[200];

    snprintf(f->dir, sizeof(f->dir), "%s/mlgate-test-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    f->cert = mem_printf("%s/server.crt", f->dir);
    f->key = mem_printf("%s/server.key", f->dir);
    assert_int_equal(certificate_ensure(f->cert, f->key, error, sizeof(error)), ERR_OK);
    assert_int_equal(certificate_pin(f->cert, f->pin), ERR_OK);
    pool_init(&f->pool, 0);
    *state = f;
    return 0;
}

static void drop_ends(struct fixture *f)
{
    tls_free(f->client.tls);
    tls_free(f->server.tls);
    bytes_clear(&f->client.out, &f->pool);
    bytes_clear(&f->server.out, &f->pool);
    tls_context_free(f->client_context);
    tls_context_free(f->server_context);
    f->client_context = NULL;
    f->server_context = NULL;
    f->client.tls = NULL;
    f->server.tls = NULL;
    f->client.n_got = 0;
    f->server.n_got = 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    drop_ends(f);
    assert_int_equal(f->pool.held, 0);
    pool_clear(&f->pool);
    unlink(f->cert);
    unlink(f->key);
    rmdir(f->dir);
    mem_free(f->cert);
    mem_free(f->key);
    mem_free(f);
    return 0;
}

static void take(struct end *to, const uint8_t *data, size_t len)
{
    enum tls_state before;
    size_t n;

    tls_input(to->tls, data, len);
    do {
        before = tls_state(to->tls);
        n = tls_read(to->tls, to->got + to->n_got, sizeof(to->got) - to->n_got);
        /* the owner hears of TLS_OPEN before any byte, whatever came in one segment */
        assert_true(n == 0 || before == TLS_OPEN);
        to->n_got += n;
    } while (n > 0 || tls_state(to->tls) != before);
    tls_input(to->tls, NULL, 0);
}

/* Moves what one end has to say, `step` bytes at a time; false when it had nothing. */
static bool move(struct fixture *f, struct end *from, struct end *to, size_t step)
{
    bool moved = from->out.len > 0;

    while (from->out.len > 0) {
        size_t len;
        const uint8_t *data = bytes_peek(&from->out, &len);

        if (len > step)
            len = step;
        take(to, data, len);
        bytes_consume(&from->out, &f->pool, len);
    }
    return moved;
}

static void talk(struct fixture *f, size_t step)
{
    bool moved = true;

    while (moved) {
        moved = move(f, &f->client, &f->server, step);
        moved = move(f, &f->server, &f->client, step) || moved;
    }
}

static void prepare(struct fixture *f, const struct tls_client_options *o, const char *name)
{
    const struct tls_server_options so = {.cert_file = f->cert, .key_file = f->key};
    char error[300];

    f->client_context = tls_context_client(o, error, sizeof(error));
    f->server_context = tls_context_server(&so, error, sizeof(error));
    assert_non_null(f->client_context);
    assert_non_null(f->server_context);
    f->client.tls = tls_new(f->client_context, name, &f->client.out, &f->pool);
    f->server.tls = tls_new(f->server_context, NULL, &f->server.out, &f->pool);
}

static void join(struct fixture *f, const struct tls_client_options *o, const char *name,
                 size_t step)
{
    prepare(f, o, name);
    take(&f->client, NULL, 0);
    talk(f, step);
    f->client.n_got = 0;
    f->server.n_got = 0;
}

static void test_bytes_cross_at_any_step(void **state)
{
    static const size_t steps[] = {1, 7, 1000, 70000};
    static const size_t sizes[] = {1, 16383, 16384, 16385, 100000};
    struct fixture *f = *state;
    const struct tls_client_options any = {0};
    uint8_t *data = mem_alloc(100000);

    for (size_t i = 0; i < 100000; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        for (size_t z = 0; z < sizeof(sizes) / sizeof(sizes[0]); z++) {
            join(f, &any, "example.test", steps[s]);
            assert_int_equal(tls_state(f->client.tls), TLS_OPEN);
            assert_int_equal(tls_state(f->server.tls), TLS_OPEN);
            tls_write(f->client.tls, data, 3);
            tls_write(f->client.tls, data + 3, sizes[z] > 3 ? sizes[z] - 3 : 0);
            tls_flush(f->client.tls);
            assert_int_equal(tls_pending(f->client.tls), 0);
            talk(f, steps[s]);
            assert_int_equal(f->server.n_got, sizes[z] > 3 ? sizes[z] : 3);
            assert_memory_equal(f->server.got, data, f->server.n_got);
            drop_ends(f);
        }
    }
    mem_free(data);
}

/* The client's last handshake message, its data and its end in one segment. */
static void test_all_in_one_segment(void **state)
{
    struct fixture *f = *state;
    const struct tls_client_options any = {0};
    uint8_t *all;
    size_t len = 0;

    prepare(f, &any, "example.test");
    take(&f->client, NULL, 0);
    move(f, &f->client, &f->server, 70000); /* hello */
    move(f, &f->server, &f->client, 70000); /* the server's whole flight */
    assert_int_equal(tls_state(f->client.tls), TLS_OPEN);
    assert_int_equal(tls_state(f->server.tls), TLS_HANDSHAKE);
    tls_write(f->client.tls, (const uint8_t *)"\x16hello", 6);
    tls_finish(f->client.tls);
    all = mem_alloc(f->client.out.len);
    while (f->client.out.len > 0) {
        size_t n;
        const uint8_t *data = bytes_peek(&f->client.out, &n);

        memcpy(all + len, data, n);
        len += n;
        bytes_consume(&f->client.out, &f->pool, n);
    }
    take(&f->server, all, len);
    assert_int_equal(f->server.n_got, 6);
    assert_int_equal(tls_state(f->server.tls), TLS_ENDED);
    mem_free(all);
    drop_ends(f);
}

static void test_end_is_told(void **state)
{
    struct fixture *f = *state;
    const struct tls_client_options any = {0};

    join(f, &any, "example.test", 4096);
    tls_finish(f->client.tls);
    talk(f, 4096);
    assert_int_equal(tls_state(f->server.tls), TLS_ENDED);
    drop_ends(f);
}

static void test_pins(void **state)
{
    struct fixture *f = *state;
    const char *other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const char *one[] = {f->pin};
    const char *rotated[] = {other, f->pin};
    const char *wrong[] = {other};
    const struct {
        const char *const *pins;
        size_t n;
        enum tls_state want;
    } rows[] = {
        {one, 1, TLS_OPEN},
        {rotated, 2, TLS_OPEN},
        {wrong, 1, TLS_UNTRUSTED},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct tls_client_options o = {.pins = rows[i].pins, .n_pins = rows[i].n};

        join(f, &o, "example.test", 4096);
        assert_int_equal(tls_state(f->client.tls), rows[i].want);
        drop_ends(f);
    }
}

/* The server's own certificate has no names: trusting it as a CA verifies the chain, never the
 * name, so a client that asks for both refuses it, as with frps. */
static void test_ca_wants_the_name(void **state)
{
    struct fixture *f = *state;
    const struct tls_client_options o = {.ca_file = f->cert};

    join(f, &o, "example.test", 4096);
    assert_int_equal(tls_state(f->client.tls), TLS_UNTRUSTED);
    assert_string_not_equal(tls_error(f->client.tls), "no error");
    drop_ends(f);
    join(f, &o, "127.0.0.1", 4096);
    assert_int_equal(tls_state(f->client.tls), TLS_UNTRUSTED);
    drop_ends(f);
}

/* Who observes is let through and told what he would have been refused for. */
static void test_observing(void **state)
{
    struct fixture *f = *state;
    const struct tls_client_options no_ca = {.observe = true};
    const struct tls_client_options ca = {.ca_file = f->cert, .observe = true};
    struct tls_peer peer;

    join(f, &no_ca, "example.test", 4096);
    assert_true(tls_peer(f->client.tls, &peer));
    assert_string_equal(peer.version, "TLSv1.3");
    assert_string_equal(peer.certificate.pin, f->pin);
    assert_string_equal(peer.untrusted, "");
    assert_true(peer.certificate.not_before < time(NULL));
    assert_true(peer.certificate.not_after > time(NULL) + 9 * 365 * 24 * 3600L);
    assert_false(tls_peer(f->server.tls, &peer)); /* the client has shown none */
    drop_ends(f);

    prepare(f, &ca, "example.test");
    assert_false(tls_peer(f->client.tls, &peer)); /* not yet */
    take(&f->client, NULL, 0);
    talk(f, 4096);
    assert_int_equal(tls_state(f->client.tls), TLS_OPEN);
    assert_true(tls_peer(f->client.tls, &peer));
    assert_non_null(strstr(peer.untrusted, "ostname"));
    drop_ends(f);
}

static void test_garbage_fails_cleanly(void **state)
{
    struct fixture *f = *state;
    const struct tls_client_options any = {0};
    const uint8_t http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    join(f, &any, "example.test", 4096);
    take(&f->server, http, sizeof(http) - 1);
    assert_int_equal(tls_state(f->server.tls), TLS_FAILED);
    tls_write(f->server.tls, http, sizeof(http)); /* ignored, not fatal */
    tls_flush(f->server.tls);
    drop_ends(f);
}

static void test_bad_files_are_named(void **state)
{
    struct fixture *f = *state;
    char error[300];
    const char *bad_pin[] = {"not-a-pin"};
    const struct tls_server_options missing = {.cert_file = "/nonexistent", .key_file = f->key};
    const struct tls_server_options mixed = {.cert_file = f->cert, .key_file = f->cert};
    const struct tls_client_options no_ca = {.ca_file = "/nonexistent"};
    const struct tls_client_options pins = {.pins = bad_pin, .n_pins = 1};

    assert_null(tls_context_server(&missing, error, sizeof(error)));
    assert_non_null(strstr(error, "/nonexistent"));
    assert_null(tls_context_server(&mixed, error, sizeof(error)));
    assert_non_null(strstr(error, f->cert));
    assert_null(tls_context_client(&no_ca, error, sizeof(error)));
    assert_non_null(strstr(error, "/nonexistent"));
    assert_null(tls_context_client(&pins, error, sizeof(error)));
    assert_non_null(strstr(error, "44"));
}

static void test_certificate_is_kept(void **state)
{
    struct fixture *f = *state;
    char again[CERTIFICATE_PIN_SIZE];
    char error[200];
    struct stat st;
    char *nowhere = mem_printf("%s/server.crt/x", f->dir);

    assert_int_equal(certificate_ensure(f->cert, f->key, error, sizeof(error)), ERR_OK);
    assert_int_equal(certificate_pin(f->cert, again), ERR_OK);
    assert_string_equal(again, f->pin);
    assert_int_equal(stat(f->key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(certificate_ensure(nowhere, nowhere, error, sizeof(error)), ERR_IO);
    assert_non_null(strstr(error, nowhere));
    mem_free(nowhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bytes_cross_at_any_step, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_in_one_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ca_wants_the_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_observing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_garbage_fails_cleanly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_files_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_certificate_is_kept, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

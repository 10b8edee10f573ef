#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "container/audit.h"

#define HEAD4                                                                                      \
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "  \
    "inode\n"
#define REST  " 00000000:00000000 00:00000000 00000000     0        0 622105 1 0000000000000000\n"
#define NONE4 " 00000000:0000 "
#define NONE6 " 00000000000000000000000000000000:0000 "

static const struct audit_span guarded[] = {{5000, 5128}, {8080, 8080}};

static void check(enum socket_table table, const char *text, const char *ports)
{
    struct audit audit = {.count = 0};
    char out[AUDIT_LINE_MAX];

    assert_int_equal(audit_lines(&audit, table, text, strlen(text), guarded, 2), strlen(text));
    assert_string_equal(audit_ports(&audit, out), ports);
}

static void test_lines_of_ipv4(void **state)
{
    static const struct {
        const char *text;
        const char *ports;
    } rows[] = {
        {"", ""},
        {HEAD4, ""},
        {HEAD4 "   0: 00000000:22B8" NONE4 "0A" REST, "8888"},
        /* whatever address it is, as long as it is not loopback */
        {"   0: 0200A8C0:0016" NONE4 "0A" REST, "22"},
        {"   0: 0100007F:0016" NONE4 "0A" REST, ""},
        {"   0: 0B00007F:8C21" NONE4 "0A" REST, ""},
        {"   0: FFFFFF7F:0016" NONE4 "0A" REST, ""},
        /* expected, at the edges of the spans and beside them */
        {"0: 00000000:1388" NONE4 "0A" REST "1: 00000000:1408" NONE4 "0A" REST, ""},
        {"0: 00000000:1387" NONE4 "0A" REST "1: 00000000:1409" NONE4 "0A" REST, "4999, 5129"},
        {"0: 00000000:1F90" NONE4 "0A" REST, ""},
        /* other states than listening */
        {"0: 00000000:0016" NONE4 "01" REST "1: 00000000:0017" NONE4 "06" REST, ""},
        /* sorted, each once */
        {"0: 00000000:0050" NONE4 "0A" REST "1: 0200A8C0:0016" NONE4 "0A" REST
         "2: 00000000:0016" NONE4 "0A" REST,
         "22, 80"},
        {"99999: 00000000:FFFF" NONE4 "0A" REST, "65535"},
        /* what is no line of the kernel's is passed over, and the next one counts */
        {": 00000000:0016" NONE4 "0A" REST "0: 00000000:0050" NONE4 "0A" REST, "80"},
        {"0: 00000000:016" NONE4 "0A" REST, ""},
        {"0: 0000000:0016" NONE4 "0A" REST, ""},
        {"0: 00000000:00g6" NONE4 "0A" REST, ""},
        {"0: 0000000g:0016" NONE4 "0A" REST, ""},
        {"0: 00000000:0016 0A" REST, ""},
        {"0: 00000000:0016" NONE4 "0A\n", ""},
        {"\n\n\n", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(SOCKETS_TCP4, rows[i].text, rows[i].ports);
}

static void test_lines_of_ipv6(void **state)
{
    static const struct {
        const char *text;
        const char *ports;
    } rows[] = {
        {"0: 00000000000000000000000000000000:22B8" NONE6 "0A" REST, "8888"},
        {"0: 00000000000000000000000001000000:22B8" NONE6 "0A" REST, ""},
        /* 127.0.0.1 and 192.168.0.2 in a socket of both families; ::127.0.0.1 is not loopback */
        {"0: 0000000000000000FFFF00000100007F:22B8" NONE6 "0A" REST, ""},
        {"0: 0000000000000000FFFF00000200A8C0:22B8" NONE6 "0A" REST, "8888"},
        {"0: 0000000000000000000000000100007F:22B8" NONE6 "0A" REST, "8888"},
        {"0: 000080FE00000000FF005450B6A01AFE:0016" NONE6 "0A" REST, "22"},
        {"0: 00000000000000000000000000000000:1F90" NONE6 "0A" REST, ""},
        /* the shape of the other table */
        {"0: 00000000:22B8" NONE4 "0A" REST, ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(SOCKETS_TCP6, rows[i].text, rows[i].ports);
}

static void test_half_a_line_is_left(void **state)
{
    static const char text[] = "0: 00000000:0016" NONE4 "0A" REST "1: 00000000:0050" NONE4 "0A";
    struct audit audit = {.count = 0};
    char out[AUDIT_LINE_MAX];

    assert_int_equal(audit_lines(&audit, SOCKETS_TCP4, text, strlen(text), NULL, 0),
                     strchr(text, '\n') + 1 - text);
    assert_string_equal(audit_ports(&audit, out), "22");
}

static void test_more_ports_than_fit(void **state)
{
    struct audit audit = {.count = 0};
    char out[AUDIT_LINE_MAX];

    for (unsigned i = 0; i < AUDIT_PORTS_MAX + 3; i++) {
        char line[160];
        int len = snprintf(line, sizeof(line), "%u: 00000000:%04X" NONE4 "0A" REST, i, 65535 - i);

        audit_lines(&audit, SOCKETS_TCP4, line, (size_t)len, NULL, 0);
    }
    assert_int_equal(audit.count, AUDIT_PORTS_MAX);
    assert_int_equal(audit.unsaid, 3);
    assert_memory_equal(audit_ports(&audit, out), "65472, 65473", 12);
    assert_non_null(strstr(out, "65535 and 3 more"));
}

static void write_file(const char *dir, const char *name, const char *text, unsigned times)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    while (times-- > 0)
        fputs(text, file);
    fclose(file);
}

static void test_files(void **state)
{
    char dir[] = "/tmp/test_audit.XXXXXX";
    char path[256];
    struct audit audit = {.count = 7};

    assert_non_null(mkdtemp(dir));
    assert_int_equal(audit_read(&audit, dir, NULL, 0), ERR_NOTFOUND);
    assert_int_equal(audit.count, 0);

    snprintf(path, sizeof(path), "%s/net", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    /* larger than any buffer, with the listener behind it all */
    write_file(dir, "net/tcp", "1: 00000000:0016" NONE4 "01" REST, 2000);
    assert_int_equal(audit_read(&audit, dir, NULL, 0), 0);
    assert_int_equal(audit.count, 0);
    write_file(dir, "net/tcp6", "1: 00000000000000000000000000000000:0016" NONE6 "0A" REST, 2000);
    assert_int_equal(audit_read(&audit, dir, NULL, 0), 0);
    assert_int_equal(audit.count, 1);
    assert_int_equal(audit.ports[0], 22);
    /* one endless line is no line, and holds nobody up */
    write_file(dir, "net/tcp", "1: 00000000:0017" NONE4 "0A", 20000);
    assert_int_equal(audit_read(&audit, dir, NULL, 0), 0);
    assert_int_equal(audit.count, 1);

    for (const char *const *name = (const char *const[]){"net/tcp", "net/tcp6", "net", NULL}; *name;
         name++) {
        snprintf(path, sizeof(path), "%s/%s", dir, *name);
        assert_int_equal(remove(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

static void test_same(void **state)
{
    struct audit a = {.ports = {1, 2}, .count = 2};
    struct audit b = a;

    b.ports[2] = 9; /* beyond the count: means nothing */
    assert_true(audit_same(&a, &b));
    b.ports[1] = 3;
    assert_false(audit_same(&a, &b));
    b = a;
    b.unsaid = 1;
    assert_false(audit_same(&a, &b));
    b = a;
    b.count = 1;
    assert_false(audit_same(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_of_ipv4),
        cmocka_unit_test(test_lines_of_ipv6),
        cmocka_unit_test(test_half_a_line_is_left),
        cmocka_unit_test(test_more_ports_than_fit),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

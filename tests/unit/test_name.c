/* Which of a name's addresses the gateway connects to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/name.h"

enum { ADDRESSES_MAX = 3 };

/* '4', '6' and '?' (another family) in the order of the resolver; the index of the choice. */
static void the_address_that_mlnode_listens_on(void **state)
{
    static const struct {
        const char *found;
        int choice;
    } table[] = {
        {"", -1},  {"4", 0},   {"6", 0},   {"64", 1}, {"46", 0},  {"664", 2},
        {"66", 0}, {"644", 1}, {"446", 0}, {"?", -1}, {"?64", 2}, {"?6", 1},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct addrinfo list[ADDRESSES_MAX] = {0};
        size_t n = strlen(table[i].found);
        const struct addrinfo *want = table[i].choice < 0 ? NULL : &list[table[i].choice];

        for (size_t k = 0; k < n; k++) {
            char kind = table[i].found[k];

            list[k].ai_family = kind == '4' ? AF_INET : kind == '6' ? AF_INET6 : AF_UNIX;
            list[k].ai_next = k + 1 < n ? &list[k + 1] : NULL;
        }
        assert_ptr_equal(name_choice(n > 0 ? list : NULL), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_address_that_mlnode_listens_on)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

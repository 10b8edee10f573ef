/* A command line without a shell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "config/words.h"

enum { WORDS_MAX = 6 };

static void words_and_quotes(void **state)
{
    static const struct {
        const char *text;
        const char *words[WORDS_MAX];
    } rows[] = {
        {"a", {"a"}},
        {"  a\t b  \n", {"a", "b"}},
        {"a b c d e", {"a", "b", "c", "d", "e"}},
        {"'a b' \"c d\"", {"a b", "c d"}},
        {"a'b c'd", {"ab cd"}},
        {"''", {""}},
        {"\"\" x", {"", "x"}},
        {"'it\"s' \"it's\"", {"it\"s", "it's"}},
        {"a\\ b", {"a b"}},
        {"'a\\ b'", {"a\\ b"}},
        {"\"a\\\"b\"", {"a\"b"}},
        {"\"a\\\\\"", {"a\\"}},
        {"$HOME `id` $(id) * ~ ; | > # &", {"$HOME", "`id`", "$(id)", "*", "~", ";"}},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char **words = words_split(rows[i].text);

        assert_non_null(words);
        for (int k = 0; k < WORDS_MAX && rows[i].words[k] != NULL; k++) {
            assert_non_null(words[k]);
            assert_string_equal(words[k], rows[i].words[k]);
        }
        if (i + 1 < sizeof(rows) / sizeof(rows[0])) {
            size_t n = 0;

            while (n < WORDS_MAX && rows[i].words[n] != NULL)
                n++;
            assert_null(words[n]);
        }
        mem_free(words);
    }
}

static void no_words(void **state)
{
    static const char *const rows[] = {"",      " ",       "\t\n", "'",    "a '", "\"",
                                       "a \"b", "\"a\\\"", "\\",   "a \\", "\"\\"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_null(words_split(rows[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_quotes),
        cmocka_unit_test(no_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Answers of MLNode and vLLM: what is taken out of them, and what is no answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gateway/mlnode.h"

struct state_row {
    const char *body;
    const char *word; /* NULL: no answer */
};

static const struct state_row states[] = {
    {"{\"state\":\"STOPPED\"}", "STOPPED"},
    {(" {\"version\":\"0.2.14\",\"state\":\"INFERENCE\",\"inference_healthy\":false,"
      "\"loaded_model\":null,\"new\":[[{}]]}\n"),
     "INFERENCE"},
    {"{\"state\":\"\\u0050OW\"}", "POW"},
    {"{\"state\":\"A_word_of_thirty_one_letters_ab\"}", "A_word_of_thirty_one_letters_ab"},
    {"{\"state\":\"A_word_of_thirty_two_letters_abc\"}", NULL},
    {"{\"state\":\"\"}", NULL},
    {"{\"state\":\"IN FERENCE\"}", NULL},
    {"{\"state\":\"INFERENCE\\n\"}", NULL},
    {"{\"state\":\"INFERENCE\\u0000\"}", NULL},
    {"{\"state\":\"\\u001b[31m\"}", NULL},
    {"{\"state\":\"\\u00c4\"}", NULL},
    {"{\"state\":1}", NULL},
    {"{\"state\":null}", NULL},
    {"{\"state\":{\"state\":\"INFERENCE\"}}", NULL},
    {"{\"State\":\"INFERENCE\"}", NULL},
    {"{\"state\":\"INFERENCE\",\"state\":\"INFERENCE\"}", NULL},
    {"{\"state\":\"INFERENCE\"", NULL},
    {"{\"state\":\"INFERENCE\"} {}", NULL},
    {"[\"state\",\"INFERENCE\"]", NULL},
    {"\"INFERENCE\"", NULL},
    {"INFERENCE", NULL},
    {"{\"state\":\"\xff\"}", NULL},
    {"null", NULL},
    {"{}", NULL},
    {"", NULL},
};

static void the_state_is_a_word(void **state)
{
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        char word[MLNODE_STATE_MAX] = "untouched";
        bool good = mlnode_state(states[i].body, strlen(states[i].body), word);

        print_message("    %s\n", states[i].body);
        assert_int_equal(good, states[i].word != NULL);
        assert_string_equal(word, good ? states[i].word : "untouched");
    }
}

/* Rows of one group are equal sets, and different from those of every other group. */
struct models_row {
    int group; /* 0: no answer */
    const char *body;
};

static const struct models_row models[] = {
    {1, "{\"data\":[{\"id\":\"a\"}]}"},
    {1, ("{\"object\":\"list\",\"data\":[{\"object\":\"model\",\"created\":17,\"id\":\"a\","
         "\"permission\":[{\"id\":\"modelperm-1\"}]}]}")},
    {1, "{\"data\":[{\"id\":\"a\",\"created\":18},{\"id\":\"\\u0061\"}]}"},
    {2, "{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}]}"},
    {2, "{\"data\":[{\"id\":\"b\"},{\"id\":\"a\"},{\"id\":\"b\"}]}"},
    {3, "{\"data\":[{\"id\":\"b\"}]}"},
    {4, "{\"data\":[{\"id\":\"ab\"}]}"},
    {5, "{\"data\":[{\"id\":\"a,1:b\"}]}"},
    {9, "{\"data\":[{\"id\":\"a,b\"}]}"},
    {10, "{\"data\":[{\"id\":\"a,\"},{\"id\":\"b\"}]}"},
    {6, "{\"data\":[{\"id\":\"a\\nb\"}]}"},
    {7, "{\"data\":[{\"id\":\"A\"}]}"},
    {8, "{\"data\":[{\"id\":\"\"}]}"},
    {0, "{\"data\":[]}"},
    {0, "{\"data\":{\"id\":\"a\"}}"},
    {0, "{\"data\":[\"a\"]}"},
    {0, "{\"data\":[{\"id\":\"a\"},{\"id\":2}]}"},
    {0, "{\"data\":[{\"id\":\"a\"},{}]}"},
    {0, "{\"data\":[{\"id\":\"a\",\"id\":\"b\"}]}"},
    {0, "{\"data\":[{\"id\":\"a\\u0000b\"}]}"},
    {0, "{\"data\":[{\"id\":\"a\"}]}{}"},
    {0, "{\"error\":{\"message\":\"no backend\"}}"},
    {0, "[{\"id\":\"a\"}]"},
    {0, "<html>"},
    {0, ""},
};

static char *models_of(size_t i)
{
    return mlnode_models(models[i].body, strlen(models[i].body));
}

static void sets_of_models_are_compared(void **state)
{
    const size_t n = sizeof(models) / sizeof(models[0]);

    for (size_t i = 0; i < n; i++) {
        char *a = models_of(i);

        print_message("    %s\n", models[i].body);
        assert_int_equal(a != NULL, models[i].group != 0);
        for (size_t k = 0; k < n && a != NULL; k++) {
            char *b = models_of(k);

            if (b != NULL)
                assert_int_equal(strcmp(a, b) == 0, models[i].group == models[k].group);
            mem_free(b);
        }
        mem_free(a);
    }
}

static void depth_and_size_are_harmless(void **state)
{
    const size_t size = 256 * 1024;
    char *body = mem_alloc(size);
    char word[MLNODE_STATE_MAX];

    memset(body, '[', size);
    assert_false(mlnode_state(body, size, word));
    assert_null(mlnode_models(body, size));
    memcpy(body, "{\"data\":", 8);
    assert_null(mlnode_models(body, size));
    memset(body, ' ', size);
    memcpy(body, "{\"state\":\"POW\"", 14);
    body[size - 1] = '}';
    assert_true(mlnode_state(body, size, word));
    assert_string_equal(word, "POW");
    mem_free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_is_a_word),
        cmocka_unit_test(sets_of_models_are_compared),
        cmocka_unit_test(depth_and_size_are_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

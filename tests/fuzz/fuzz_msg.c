/* First byte: the type; the rest: a body. What is accepted must hold only well-formed strings, and
 * must come back equal after writing and reading it again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "proto/msg_fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void check_text(const char *text)
{
    CHECK(text != NULL);
    for (size_t left = strlen(text); left > 0;) {
        size_t n = text_utf8_len((const uint8_t *)text, left);

        CHECK(n > 0 && n <= left);
        text += n;
        left -= n;
    }
}

static void check_metas(const struct msg_login *a, const struct msg_login *b)
{
    CHECK(a->n_metas == b->n_metas && a->n_metas <= MSG_METAS_MAX);
    for (size_t i = 0; i < a->n_metas; i++) {
        const char *again = msg_login_meta(b, a->metas[i].key);

        check_text(a->metas[i].key);
        check_text(a->metas[i].value);
        CHECK(again != NULL && strcmp(again, a->metas[i].value) == 0);
    }
}

static void check_field(const struct msg_field *f, const struct msg *a, const struct msg *b)
{
    const void *x = (const char *)a + f->offset;
    const void *y = (const char *)b + f->offset;

    switch (f->kind) {
    case FIELD_TEXT:
        check_text(*(const char *const *)x);
        CHECK(strcmp(*(const char *const *)x, *(const char *const *)y) == 0);
        break;
    case FIELD_INT64:
        CHECK(*(const int64_t *)x == *(const int64_t *)y);
        break;
    case FIELD_UINT16:
        CHECK(*(const uint16_t *)x == *(const uint16_t *)y);
        break;
    case FIELD_BOOL:
        CHECK(*(const bool *)x == *(const bool *)y);
        break;
    case FIELD_METAS:
        check_metas(&a->login, &b->login);
        break;
    case FIELD_EMPTY:
        break;
    }
}

static void check_round_trip(const struct msg *m)
{
    static uint8_t first[MSG_FRAME_MAX], second[MSG_FRAME_MAX];
    const struct msg_shape *shape = msg_shape_of((uint8_t)m->type);
    struct msg again;
    size_t first_len, second_len;
    int rc = msg_encode(m, first, sizeof first, &first_len);

    if (!shape->handled) {
        CHECK(rc == ERR_TYPE && m->store == NULL);
        return;
    }
    /* Escapes can make a long body longer than it was. */
    if (rc == ERR_LIMIT)
        return;
    CHECK(rc == 0 && first[0] == (uint8_t)m->type);
    CHECK(msg_decode(&again, first[0], first + MSG_HEAD_LEN, first_len - MSG_HEAD_LEN) == 0);
    for (size_t i = 0; i < shape->n_fields; i++)
        check_field(&shape->fields[i], m, &again);
    CHECK(msg_encode(&again, second, sizeof second, &second_len) == 0);
    CHECK(second_len == first_len && memcmp(first, second, first_len) == 0);
    msg_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct msg m;
    int rc;

    if (size == 0)
        return 0;
    rc = msg_decode(&m, data[0], data + 1, size - 1);
    CHECK((rc == ERR_TYPE) == !msg_type_known(data[0]));
    if (rc == 0)
        check_round_trip(&m);
    else
        CHECK(m.store == NULL);
    msg_clear(&m);
    return 0;
}

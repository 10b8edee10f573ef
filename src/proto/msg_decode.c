#include "proto/msg.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "proto/jscan.h"
#include "proto/msg_fields.h"

enum {
    KEY_MAX = 32,      /* longer than any key of ours: what does not fit is an unknown key */
    META_TEXT_MIN = 6, /* the shortest entry of an object is `{"":""` or `,"":""` */
};

struct decoder {
    struct jscan scan;
    struct msg *m;
    size_t body_len;
    char *text; /* the free part of m->store */
    size_t left;
    struct msg_meta *metas; /* the first part of m->store */
    size_t metas_max;
};

/* One block holds everything: a kept string needs its terminator but not its two quotes, so all
 * strings together fit into as many bytes as the body has. */
static void open_store(struct decoder *d)
{
    size_t metas_size;

    if (d->m->store != NULL)
        return;
    if (d->m->type == MSG_LOGIN)
        d->metas_max = d->body_len / META_TEXT_MIN;
    if (d->metas_max > MSG_METAS_MAX)
        d->metas_max = MSG_METAS_MAX;
    metas_size = d->metas_max * sizeof *d->metas;
    d->m->store = mem_alloc(metas_size + d->body_len);
    d->metas = d->m->store;
    d->text = (char *)d->m->store + metas_size;
    d->left = d->body_len;
}

static int keep_text(struct decoder *d, struct jscan_text raw, const char **out)
{
    size_t len;

    if (raw.len == 0) {
        *out = "";
        return 0;
    }
    open_store(d);
    if (d->left == 0 || !jscan_unescape(raw, d->text, d->left - 1, &len))
        return ERR_SYNTAX;
    d->text[len] = '\0';
    *out = d->text;
    d->text += len + 1;
    d->left -= len + 1;
    return 0;
}

static int read_text(struct decoder *d, const char **out)
{
    struct jscan_text raw;

    return jscan_string(&d->scan, &raw) ? keep_text(d, raw, out) : ERR_SYNTAX;
}

static int read_int64(struct decoder *d, int64_t *out)
{
    struct jscan_text raw;
    uint64_t value;
    bool negative;

    if (!jscan_number(&d->scan, &raw))
        return ERR_SYNTAX;
    negative = raw.at[0] == '-';
    if (!text_uint((const char *)raw.at + negative, raw.len - negative,
                   (uint64_t)INT64_MAX + negative, &value))
        return ERR_SYNTAX;
    /* In unsigned arithmetic, because -INT64_MIN has no signed form. */
    *out = (int64_t)(negative ? 0 - value : value);
    return 0;
}

static int read_uint16(struct decoder *d, uint16_t *out)
{
    struct jscan_text raw;
    uint64_t value;

    if (!jscan_number(&d->scan, &raw) ||
        !text_uint((const char *)raw.at, raw.len, UINT16_MAX, &value))
        return ERR_SYNTAX;
    *out = (uint16_t)value;
    return 0;
}

/* The entry of `key`, a new one if need be; NULL when there are too many. */
static struct msg_meta *meta_slot(struct decoder *d, const char *key)
{
    struct msg_login *login = &d->m->login;

    for (size_t i = 0; i < login->n_metas; i++)
        if (strcmp(d->metas[i].key, key) == 0)
            return &d->metas[i];
    if (login->n_metas == d->metas_max)
        return NULL;
    login->metas = d->metas;
    d->metas[login->n_metas].key = key;
    return &d->metas[login->n_metas++];
}

static int read_meta(struct decoder *d, struct jscan_text raw)
{
    const char *key = "";
    const char *value = "";
    struct msg_meta *meta;
    int rc;

    open_store(d);
    rc = keep_text(d, raw, &key);
    if (rc == 0 && !jscan_null(&d->scan))
        rc = read_text(d, &value);
    if (rc != 0)
        return rc;
    meta = meta_slot(d, key);
    if (meta == NULL)
        return ERR_LIMIT;
    meta->value = value;
    return 0;
}

static int read_metas(struct decoder *d)
{
    struct jscan_text key;
    enum jscan_step step;

    if (!jscan_enter(&d->scan))
        return ERR_SYNTAX;
    while ((step = jscan_member(&d->scan, &key)) == JSCAN_MEMBER) {
        int rc = read_meta(d, key);

        if (rc != 0)
            return rc;
    }
    return step == JSCAN_END ? 0 : ERR_SYNTAX;
}

static int read_field(struct decoder *d, const struct msg_field *field)
{
    void *slot = (char *)d->m + field->offset;

    if (jscan_null(&d->scan))
        return 0;
    switch (field->kind) {
    case FIELD_TEXT:
        return read_text(d, slot);
    case FIELD_INT64:
        return read_int64(d, slot);
    case FIELD_UINT16:
        return read_uint16(d, slot);
    case FIELD_BOOL:
        return jscan_bool(&d->scan, slot) ? 0 : ERR_SYNTAX;
    case FIELD_METAS:
        return read_metas(d);
    case FIELD_EMPTY:
    default:
        return jscan_skip(&d->scan) ? 0 : ERR_SYNTAX;
    }
}

static bool key_matches(const char *key, size_t len, const char *want)
{
    for (size_t i = 0; i < len; i++) {
        char c = key[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (want[i] == '\0' || want[i] != c)
            return false;
    }
    return want[len] == '\0';
}

static const struct msg_field *find_field(const struct msg_shape *shape, struct jscan_text raw)
{
    char key[KEY_MAX];
    size_t len;

    if (!jscan_unescape(raw, key, sizeof key, &len))
        return NULL;
    for (size_t i = 0; i < shape->n_fields; i++)
        if (key_matches(key, len, shape->fields[i].key))
            return &shape->fields[i];
    return NULL;
}

static int read_object(struct decoder *d, const struct msg_shape *shape)
{
    struct jscan_text key;
    enum jscan_step step;

    if (!jscan_enter(&d->scan))
        return ERR_SYNTAX;
    while ((step = jscan_member(&d->scan, &key)) == JSCAN_MEMBER) {
        const struct msg_field *field = find_field(shape, key);
        int rc = field != NULL ? read_field(d, field) : jscan_skip(&d->scan) ? 0 : ERR_SYNTAX;

        if (rc != 0)
            return rc;
    }
    return step == JSCAN_END ? 0 : ERR_SYNTAX;
}

static int read_body(struct decoder *d, const struct msg_shape *shape)
{
    int rc = 0;

    d->m->is_null = jscan_null(&d->scan);
    if (!d->m->is_null)
        rc = read_object(d, shape);
    if (rc == 0 && !jscan_at_end(&d->scan))
        rc = ERR_SYNTAX;
    return rc;
}

static void set_empty(struct msg *m, const struct msg_shape *shape)
{
    memset(m, 0, sizeof *m);
    m->type = shape->type;
    for (size_t i = 0; i < shape->n_fields; i++)
        if (shape->fields[i].kind == FIELD_TEXT)
            *(const char **)(void *)((char *)m + shape->fields[i].offset) = "";
}

int msg_decode(struct msg *out, uint8_t type, const uint8_t *json, size_t len)
{
    const struct msg_shape *shape = msg_shape_of(type);
    struct decoder d = {.m = out, .body_len = len};
    int rc;

    memset(out, 0, sizeof *out);
    if (shape == NULL)
        return ERR_TYPE;
    if (len > MSG_BODY_MAX)
        return ERR_LIMIT;
    set_empty(out, shape);
    jscan_init(&d.scan, json, len);
    rc = read_body(&d, shape);
    if (rc != 0)
        msg_clear(out);
    return rc;
}

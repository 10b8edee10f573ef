/* The text side of the INI reader: white space, quotes and templates. */
#include "config/ini_text.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/ini.h"
#include "config/problem.h"

/* Bytes of the white space character at the start of the text; 0 when there is none. The list is
 * Unicode's White_Space, which Go trims. */
static size_t space_at(const unsigned char *p, size_t len)
{
    if (len >= 1 && (p[0] == ' ' || (p[0] >= '\t' && p[0] <= '\r')))
        return 1;
    if (len >= 2 && p[0] == 0xc2 && (p[1] == 0x85 || p[1] == 0xa0))
        return 2;
    if (len < 3)
        return 0;
    if (p[0] == 0xe1)
        return p[1] == 0x9a && p[2] == 0x80 ? 3 : 0;
    if (p[0] == 0xe3)
        return p[1] == 0x80 && p[2] == 0x80 ? 3 : 0;
    if (p[0] != 0xe2)
        return 0;
    if (p[1] == 0x81)
        return p[2] == 0x9f ? 3 : 0;
    if (p[1] != 0x80)
        return 0;
    return (p[2] >= 0x80 && p[2] <= 0x8a) || p[2] == 0xa8 || p[2] == 0xa9 || p[2] == 0xaf ? 3 : 0;
}

static size_t space_before(const unsigned char *end, size_t len)
{
    for (size_t n = 1; n <= 3 && n <= len; n++)
        if (space_at(end - n, n) == n)
            return n;
    return 0;
}

void ini_trim_left(const char **text, size_t *len)
{
    size_t n;

    while ((n = space_at((const unsigned char *)*text, *len)) > 0) {
        *text += n;
        *len -= n;
    }
}

void ini_trim(const char **text, size_t *len)
{
    size_t n;

    ini_trim_left(text, len);
    while ((n = space_before((const unsigned char *)*text + *len, *len)) > 0)
        *len -= n;
}

size_t ini_quote_len(const char *text, size_t len)
{
    if (len > 3 && memcmp(text, "\"\"\"", 3) == 0)
        return 3;
    return len > 0 && text[0] == '`' ? 1 : 0;
}

const char *ini_last_quote(const char *text, size_t len, const char *quote, size_t quote_len)
{
    if (len < quote_len)
        return NULL;
    for (const char *p = text + len - quote_len;; p--) {
        if (memcmp(p, quote, quote_len) == 0)
            return p;
        if (p == text)
            return NULL;
    }
}

bool ini_surrounded(const char *text, size_t len)
{
    if (len < 2 || (text[0] != '\'' && text[0] != '"'))
        return false;
    return memchr(text + 1, text[0], len - 1) == text + len - 1;
}

const char *ini_reference(const char **at, size_t *len)
{
    const char *open;

    while ((open = strstr(*at, "%(")) != NULL) {
        *at = open + 2;
        *len = strcspn(*at, ")");
        if (*len > 0 && strncmp(*at + *len, ")s", 2) == 0)
            return *at;
    }
    return NULL;
}

int ini_decode(const char *text, size_t len, char **out, bool *unquoted)
{
    size_t quote;
    const char *end;

    *unquoted = false;
    ini_trim_left(&text, &len);
    /* In a file a line break follows, which makes an opening quote of three that stand alone. */
    quote = len == 3 && memcmp(text, "\"\"\"", 3) == 0 ? 3 : ini_quote_len(text, len);
    if (quote > 0) {
        end = ini_last_quote(text + quote, len - quote, text, quote);
        if (end == NULL)
            return ERR_SYNTAX;
        *unquoted = true;
        *out = mem_strndup(text + quote, (size_t)(end - text) - quote);
        return 0;
    }
    ini_trim(&text, &len);
    if (len > 0 && text[len - 1] == '\\')
        return ERR_TYPE;
    if (ini_surrounded(text, len)) {
        *unquoted = true;
        text++;
        len -= 2;
    }
    *out = mem_strndup(text, len);
    return 0;
}

static bool reads_back(const char *encoded, const char *value)
{
    char *decoded;
    bool unquoted;
    bool same;

    if (ini_decode(encoded, strlen(encoded), &decoded, &unquoted) != 0)
        return false;
    same = strcmp(decoded, value) == 0;
    mem_free_secret(decoded, strlen(decoded));
    return same;
}

char *ini_encode(const char *value)
{
    static const char *const quotes[] = {"", "\"", "'", "`", "\"\"\""};

    if (strpbrk(value, "\r\n") != NULL || strstr(value, "{{") != NULL)
        return NULL;
    for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++) {
        char *encoded = mem_printf("%s%s%s", quotes[i], value, quotes[i]);

        if (reads_back(encoded, value))
            return encoded;
        mem_free_secret(encoded, strlen(encoded));
    }
    return NULL;
}

/* A growing text that leaves no copies of secrets behind. */
struct text {
    char *data;
    size_t len;
    size_t room;
    bool over; /* more than INI_SIZE_MAX was asked for */
};

static void text_add(struct text *t, const char *data, size_t len)
{
    if (t->over || len > INI_SIZE_MAX - t->len) {
        t->over = true;
        return;
    }
    if (t->len + len > t->room) {
        size_t room = (t->len + len) * 2;
        char *larger = mem_alloc(room);

        if (t->len > 0)
            memcpy(larger, t->data, t->len);
        mem_free_secret(t->data, t->len);
        t->data = larger;
        t->room = room;
    }
    if (len > 0)
        memcpy(t->data + t->len, data, len);
    t->len += len;
}

/* The NAME of ".Envs.NAME" with blanks around it, as a new string; NULL for anything else. */
static char *variable_name(const char *text, size_t len)
{
    static const char prefix[] = ".Envs.";
    const size_t skip = sizeof(prefix) - 1;

    while (len > 0 && (text[0] == ' ' || text[0] == '\t'))
        text++, len--;
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    if (len <= skip || memcmp(text, prefix, skip) != 0)
        return NULL;
    text += skip;
    len -= skip;
    for (size_t i = 0; i < len; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        bool letter = (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z');

        if (!letter && text[i] != '_' && (!digit || i == 0))
            return NULL;
    }
    return mem_strndup(text, len);
}

static bool add_variable(struct text *out, const char *name, ini_getenv *get, void *context,
                         struct problems *problems, const char *where)
{
    const char *value = get ? get(context, name) : NULL;

    if (value == NULL) {
        problem_addf(problems, where, "the template names %s, which is not set", name);
        return false;
    }
    if (strpbrk(value, "\r\n") != NULL) {
        problem_addf(problems, where, "the value of %s, put in by a template, has a line break",
                     name);
        return false;
    }
    text_add(out, value, strlen(value));
    return true;
}

/* Handles the template whose "{{" stands at *at and moves behind it. */
static bool fill_in(struct text *out, const char **at, const char *end, ini_getenv *get,
                    void *context, struct problems *problems, const char *where)
{
    const char *open = *at + 2;
    const char *close = memmem(open, (size_t)(end - open), "}}", 2);
    char *name = close ? variable_name(open, (size_t)(close - open)) : NULL;
    bool ok;

    /* The text of the template is not shown: it may be a piece of a token that happens to have
     * braces. */
    if (name == NULL) {
        problem_add(problems, where, NULL, "of frp's templates only {{ .Envs.NAME }} is served",
                    "{{ .Envs.FRP_TOKEN }}");
        *at = open;
        return false;
    }
    ok = add_variable(out, name, get, context, problems, where);
    mem_free(name);
    *at = close + 2;
    return ok;
}

static size_t count_lines(const char *text, const char *end)
{
    size_t lines = 0;

    while (text < end && (text = memchr(text, '\n', (size_t)(end - text))) != NULL) {
        lines++;
        text++;
    }
    return lines;
}

int ini_expand(const char *file, const char *text, size_t len, ini_getenv *get, void *context,
               char **out, size_t *out_len, struct problems *problems)
{
    struct text filled = {0};
    const char *end = text + len;
    const char *at = text;
    const char *open;
    size_t line = 1;
    bool ok = true;

    while ((open = memmem(at, (size_t)(end - at), "{{", 2)) != NULL) {
        char *where;

        line += count_lines(at, open);
        where = mem_printf("%s:%zu", file, line);
        text_add(&filled, at, (size_t)(open - at));
        at = open;
        ok = fill_in(&filled, &at, end, get, context, problems, where) && ok;
        mem_free(where);
    }
    text_add(&filled, at, (size_t)(end - at));
    if (filled.over) {
        problem_addf(problems, file, "with its templates filled in is longer than %d bytes",
                     INI_SIZE_MAX);
        ok = false;
    }
    if (!ok) {
        mem_free_secret(filled.data, filled.len);
        return ERR_SYNTAX;
    }
    *out = filled.data;
    *out_len = filled.len;
    return 0;
}

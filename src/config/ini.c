#include "config/ini.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/file.h"
#include "config/ini_text.h"
#include "config/problem.h"

struct reader {
    struct ini *ini;
    struct problems *problems;
    size_t current; /* index of the section that takes keys */
    const char *at;
    const char *end;
    size_t line; /* of the line that was read last */
};

static int fail(struct reader *r, size_t line, const char *rule)
{
    char *where = ini_where(r->ini, line, NULL);

    problem_add(r->problems, where, NULL, rule, NULL);
    mem_free(where);
    return ERR_SYNTAX;
}

/* The next line with its line break, as ini.v1 reads it; false at the end. */
static bool next_line(struct reader *r, const char **line, size_t *len)
{
    const char *newline;

    if (r->at == r->end)
        return false;
    newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    *line = r->at;
    *len = newline ? (size_t)(newline + 1 - r->at) : (size_t)(r->end - r->at);
    r->at += *len;
    r->line++;
    return true;
}

static void secret_free(char *text)
{
    if (text)
        mem_free_secret(text, strlen(text));
}

/* Appends to a value without leaving the shorter copy behind. */
static char *append(char *value, const char *more, size_t len)
{
    size_t old = strlen(value);
    char *longer = mem_alloc(old + len + 1);

    memcpy(longer, value, old);
    memcpy(longer + old, more, len);
    longer[old + len] = '\0';
    secret_free(value);
    return longer;
}

static int read_quoted(struct reader *r, const char *text, size_t len, size_t quote, char **out)
{
    const char *mark = text;
    const char *start = text + quote;
    size_t first = r->line;
    const char *end = ini_last_quote(start, len - quote, mark, quote);

    /* Lines stand one after the other in the buffer, so a value of many lines is one span. */
    while (end == NULL) {
        const char *line;
        size_t line_len;

        if (!next_line(r, &line, &line_len))
            return fail(r, first, "a value opens with ` or \"\"\" and is never closed");
        end = ini_last_quote(line, line_len, mark, quote);
    }
    *out = mem_strndup(start, (size_t)(end - start));
    return 0;
}

static char *read_joined(struct reader *r, const char *text, size_t len)
{
    char *value = mem_strndup(text, len - 1);
    const char *line;
    size_t line_len;

    while (next_line(r, &line, &line_len)) {
        bool more;

        ini_trim(&line, &line_len);
        if (line_len == 0)
            break;
        more = line[line_len - 1] == '\\';
        value = append(value, line, line_len - more);
        if (!more)
            break;
    }
    return value;
}

static int read_value(struct reader *r, const char *text, size_t len, char **out)
{
    size_t quote;

    ini_trim_left(&text, &len);
    quote = ini_quote_len(text, len);
    if (quote > 0)
        return read_quoted(r, text, len, quote, out);
    ini_trim(&text, &len);
    if (len > 0 && text[len - 1] == '\\') {
        *out = read_joined(r, text, len);
        return 0;
    }
    if (ini_surrounded(text, len)) {
        text++;
        len -= 2;
    }
    *out = mem_strndup(text, len);
    return 0;
}

static size_t find_section(const struct ini *ini, const char *name, size_t len)
{
    for (size_t i = 0; i < ini->n_sections; i++)
        if (strlen(ini->sections[i].name) == len && memcmp(ini->sections[i].name, name, len) == 0)
            return i;
    return ini->n_sections;
}

static int add_section(struct reader *r, const char *name, size_t len)
{
    struct ini *ini = r->ini;

    if (len == 0)
        return fail(r, r->line, "a section needs a name");
    r->current = find_section(ini, name, len);
    if (r->current < ini->n_sections)
        return 0;
    if (ini->n_sections == INI_SECTIONS_MAX)
        return fail(r, r->line, "more than 8192 sections");
    ini->sections = mem_array(ini->sections, ini->n_sections + 1, sizeof(*ini->sections));
    ini->sections[ini->n_sections++] =
        (struct ini_section){.name = mem_strndup(name, len), .line = r->line};
    return 0;
}

static int read_section(struct reader *r, const char *text, size_t len)
{
    const char *close = memrchr(text, ']', len);

    if (close == NULL)
        return fail(r, r->line, "a section opens with [ and is never closed");
    return add_section(r, text + 1, (size_t)(close - text - 1));
}

/* Takes over `value`. */
static int put_key(struct reader *r, const char *name, size_t len, char *value, size_t line)
{
    struct ini_section *s = &r->ini->sections[r->current];

    for (size_t i = 0; i < s->n_keys; i++) {
        struct ini_key *key = &s->keys[i];

        if (strlen(key->name) != len || memcmp(key->name, name, len) != 0)
            continue;
        secret_free(key->value);
        key->value = value;
        key->line = line;
        return 0;
    }
    if (s->n_keys == INI_KEYS_MAX || r->ini->n_keys == INI_ALL_KEYS_MAX) {
        secret_free(value);
        return fail(r, line, "more than 512 keys in a section or 131072 in the file");
    }
    s->keys = mem_array(s->keys, s->n_keys + 1, sizeof(*s->keys));
    s->keys[s->n_keys++] =
        (struct ini_key){.name = mem_strndup(name, len), .value = value, .line = line};
    r->ini->n_keys++;
    return 0;
}

/* "name" or `name` before the delimiter: frp's library takes quoted keys. The bytes of the whole
 * thing up to the closing quote, or 0 when the key is plain, or -1 when the quote stays open. */
static ptrdiff_t quoted_key(const char *text, size_t len, const char **name, size_t *name_len)
{
    size_t quote = text[0] == '"' || text[0] == '`' ? 1 : 0;
    const char *end;

    if (quote == 0)
        return 0;
    if (len > 6 && memcmp(text, "\"\"\"", 3) == 0)
        quote = 3;
    end = memmem(text + quote, len - quote, text, quote);
    if (end == NULL)
        return -1;
    *name = text + quote;
    *name_len = (size_t)(end - *name);
    return end + quote - text;
}

static const char *find_delimiter(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '=' || text[i] == ':')
            return text + i;
    return NULL;
}

static int read_flag(struct reader *r, const char *text, size_t len)
{
    size_t line = r->line;
    char *name;
    int code = read_value(r, text, len, &name);

    if (code != 0)
        return code;
    if (name[0] == '\0')
        code = fail(r, line, "a key needs a name");
    else
        code = put_key(r, name, strlen(name), mem_strdup("true"), line);
    secret_free(name);
    return code;
}

static int read_key(struct reader *r, const char *text, size_t len)
{
    const char *name = text;
    size_t name_len = 0;
    ptrdiff_t quoted = quoted_key(text, len, &name, &name_len);
    const char *delimiter;
    size_t line = r->line;
    char *value;
    int code;

    if (quoted < 0)
        return fail(r, r->line, "a quoted key is never closed");
    delimiter = find_delimiter(text + quoted, len - (size_t)quoted);
    if (delimiter == NULL)
        return read_flag(r, text, len);
    if (quoted == 0)
        name_len = (size_t)(delimiter - text);
    ini_trim(&name, &name_len);
    if (name_len == 0)
        return fail(r, r->line, "a key needs a name before the =");
    code = read_value(r, delimiter + 1, (size_t)(text + len - delimiter - 1), &value);
    return code != 0 ? code : put_key(r, name, name_len, value, line);
}

static int read_lines(struct reader *r)
{
    const char *line;
    size_t len;
    int code = add_section(r, "DEFAULT", strlen("DEFAULT"));

    while (code == 0 && next_line(r, &line, &len)) {
        ini_trim_left(&line, &len);
        if (len == 0 || line[0] == '#' || line[0] == ';')
            continue;
        code = line[0] == '[' ? read_section(r, line, len) : read_key(r, line, len);
    }
    return code;
}

static const struct ini_key *own_key(const struct ini_section *section, const char *name)
{
    for (size_t i = 0; i < section->n_keys; i++)
        if (strcmp(section->keys[i].name, name) == 0)
            return &section->keys[i];
    return NULL;
}

static bool names_a_key(const struct ini *ini, const struct ini_section *s,
                        const struct ini_key *key, const char *text, size_t len)
{
    char *name = mem_strndup(text, len);
    const struct ini_key *target = ini_key(ini, s, name);

    if (target == NULL || target == key)
        target = own_key(&ini->sections[0], name);
    secret_free(name);
    return target != NULL;
}

/* %(key)s is a reference when the key exists; frp then puts its value there. */
static bool has_reference(const struct ini *ini, const struct ini_section *s,
                          const struct ini_key *key)
{
    const char *at = key->value;
    const char *name;
    size_t len;

    while ((name = ini_reference(&at, &len)) != NULL)
        if (names_a_key(ini, s, key, name, len))
            return true;
    return false;
}

static int check_references(struct reader *r)
{
    const struct ini *ini = r->ini;

    for (size_t i = 0; i < ini->n_sections; i++)
        for (size_t k = 0; k < ini->sections[i].n_keys; k++)
            if (has_reference(ini, &ini->sections[i], &ini->sections[i].keys[k]))
                return fail(r, ini->sections[i].keys[k].line,
                            "the value has a reference %(key)s, which is not served: write the "
                            "value itself");
    return 0;
}

static int check_bytes(const char *file, const char *text, size_t len, struct problems *problems)
{
    if (len > INI_SIZE_MAX) {
        problem_addf(problems, file, "is longer than %d bytes", INI_SIZE_MAX);
        return ERR_LIMIT;
    }
    if (len > 0 && memchr(text, '\0', len) != NULL) {
        problem_addf(problems, file, "has a NUL byte: is it a text file?");
        return ERR_SYNTAX;
    }
    return 0;
}

static int read_expanded(struct ini *ini, const char *text, size_t len, struct problems *problems)
{
    size_t mark = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    struct reader r = {.ini = ini, .problems = problems, .at = text + mark, .end = text + len};
    int code = read_lines(&r);

    return code != 0 ? code : check_references(&r);
}

int ini_read_file(const char *path, char **text, size_t *len, struct problems *problems)
{
    char why[256];
    int code = file_read(path, INI_SIZE_MAX, text, len, why, sizeof(why));

    if (code != 0)
        problem_addf(problems, path, "%s", why);
    return code;
}

int ini_read(const char *file, const char *text, size_t len, ini_getenv *get, void *context,
             struct ini *out, struct problems *problems)
{
    char *expanded = NULL;
    size_t expanded_len = 0;
    int code;

    memset(out, 0, sizeof(*out));
    code = check_bytes(file, text, len, problems);
    if (code == 0)
        code = ini_expand(file, text, len, get, context, &expanded, &expanded_len, problems);
    if (code != 0)
        return code;
    out->file = mem_strdup(file);
    /* Nothing to read is an empty file, not a NULL pointer to calculate with. */
    code = read_expanded(out, expanded ? expanded : "", expanded_len, problems);
    mem_free_secret(expanded, expanded_len);
    if (code != 0)
        ini_free(out);
    return code;
}

void ini_free(struct ini *ini)
{
    for (size_t i = 0; i < ini->n_sections; i++) {
        struct ini_section *s = &ini->sections[i];

        for (size_t k = 0; k < s->n_keys; k++) {
            mem_free(s->keys[k].name);
            secret_free(s->keys[k].value);
        }
        mem_free(s->keys);
        mem_free(s->name);
    }
    mem_free(ini->sections);
    mem_free(ini->file);
    memset(ini, 0, sizeof(*ini));
}

const struct ini_section *ini_section(const struct ini *ini, const char *name)
{
    size_t i = find_section(ini, name, strlen(name));

    return i < ini->n_sections ? &ini->sections[i] : NULL;
}

const struct ini_key *ini_key(const struct ini *ini, const struct ini_section *section,
                              const char *name)
{
    const struct ini_key *key = own_key(section, name);
    size_t len = strlen(section->name);
    const char *dot;

    while (key == NULL && (dot = memrchr(section->name, '.', len)) != NULL) {
        size_t parent;

        len = (size_t)(dot - section->name);
        parent = find_section(ini, section->name, len);
        if (parent < ini->n_sections)
            key = own_key(&ini->sections[parent], name);
    }
    return key;
}

char *ini_where(const struct ini *ini, size_t line, const char *name)
{
    if (name == NULL)
        return mem_printf("%s:%zu", ini->file, line);
    return mem_printf("%s:%zu: %s", ini->file, line, name);
}

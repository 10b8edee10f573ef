#include "config/field.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "config/problem.h"
#include "config/token.h"
#include "config/value.h"

enum { REASON_TEXT = 256 };

/* Where a setter finds what it needs and leaves what it has to say besides yes or no. */
struct setting {
    const struct field *field;
    void *base;
    const char *where;
    struct problems *problems;
    char why[REASON_TEXT]; /* a broken rule that only the value's reader can name */
};

static void *member(const struct setting *s)
{
    return (char *)s->base + s->field->offset;
}

static void *counter(const struct setting *s)
{
    return (char *)s->base + s->field->count_offset;
}

static bool put_string(struct setting *s, const char *text, bool allowed)
{
    char **place = member(s);

    if (!allowed)
        return false;
    mem_free(*place);
    *place = mem_strdup(text);
    return true;
}

static bool set_text(struct setting *s, const char *text)
{
    return put_string(s, text, value_word(text, (size_t)s->field->max));
}

static bool set_name(struct setting *s, const char *text)
{
    return put_string(s, text, value_word(text, (size_t)s->field->max) && text_is_utf8(text));
}

static bool set_path(struct setting *s, const char *text)
{
    return put_string(s, text, value_abs_path(text));
}

static bool set_file(struct setting *s, const char *text)
{
    return put_string(s, text, value_word(text, VALUE_PATH_MAX));
}

static bool set_host(struct setting *s, const char *text)
{
    return put_string(s, text, value_host(text));
}

static bool set_ip(struct setting *s, const char *text)
{
    return put_string(s, text, value_is_ip(text));
}

static bool set_scope(struct setting *s, const char *text)
{
    return put_string(s, text, value_bind_scope(text));
}

static bool set_addr(struct setting *s, const char *text)
{
    struct server_addr *place = member(s);
    struct server_addr addr;

    if (!value_host_port(text, &addr))
        return false;
    mem_free(place->host);
    *place = addr;
    return true;
}

static void free_addrs(struct server_addr *addrs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(addrs[i].host);
    mem_free(addrs);
}

/* A server named twice would get two sessions that fight for the same ports. */
static bool known_addr(const struct server_addr *addrs, size_t count, const struct server_addr *one)
{
    for (size_t i = 0; i < count; i++)
        if (addrs[i].port == one->port && strcmp(addrs[i].host, one->host) == 0)
            return true;
    return false;
}

static bool add_addr(struct setting *s, const char *item, struct server_addr **addrs, size_t *count)
{
    struct server_addr addr;

    if (*count == FIELD_LIST_MAX || !value_host_port(item, &addr))
        return false;
    if (known_addr(*addrs, *count, &addr)) {
        snprintf(s->why, sizeof(s->why), "names the same server twice");
        mem_free(addr.host);
        return false;
    }
    *addrs = mem_array(*addrs, *count + 1, sizeof(**addrs));
    (*addrs)[(*count)++] = addr;
    return true;
}

static bool set_addr_list(struct setting *s, const char *text)
{
    struct server_addr **place = member(s);
    size_t *place_count = counter(s);
    struct server_addr *addrs = NULL;
    size_t count = 0;
    bool ok = true;
    char *item;

    while (ok && (item = value_next_item(&text)) != NULL) {
        ok = add_addr(s, item, &addrs, &count);
        mem_free(item);
    }
    if (!ok) {
        free_addrs(addrs, count);
        return false;
    }
    free_addrs(*place, *place_count);
    *place = addrs;
    *place_count = count;
    return true;
}

static bool set_listen(struct setting *s, const char *text)
{
    char **place = member(s);
    uint16_t *port = counter(s);
    struct server_addr addr;

    if (!value_listen(text, &addr))
        return false;
    mem_free(*place);
    *place = addr.host;
    *port = addr.port;
    return true;
}

static bool set_page(struct setting *s, const char *text)
{
    char **place = member(s);
    uint16_t *port = counter(s);
    bool off = strcasecmp(text, "off") == 0;

    if (!off && !value_port(text, port))
        return set_listen(s, text);
    mem_free(*place);
    *place = off ? NULL : mem_strdup("127.0.0.1");
    return true;
}

static bool set_port(struct setting *s, const char *text)
{
    return value_port(text, member(s));
}

static bool set_port_or_0(struct setting *s, const char *text)
{
    uint16_t *place = member(s);

    if (strcmp(text, "0") == 0) {
        *place = 0;
        return true;
    }
    return value_port(text, place);
}

static bool set_int(struct setting *s, const char *text)
{
    int *place = member(s);
    int64_t value;

    if (!value_int(text, s->field->min, s->field->max, &value))
        return false;
    *place = (int)value;
    return true;
}

static bool set_size(struct setting *s, const char *text)
{
    size_t *place = member(s);
    uint64_t value;

    if (!value_size(text, (uint64_t)s->field->min, (uint64_t)s->field->max, &value))
        return false;
    *place = (size_t)value;
    return true;
}

static bool set_yes_no(struct setting *s, const char *text)
{
    return value_yes_no(text, member(s));
}

static bool set_bool(struct setting *s, const char *text)
{
    return value_ini_bool(text, member(s));
}

static bool set_not_bool(struct setting *s, const char *text)
{
    bool *place = member(s);
    bool value;

    if (!value_ini_bool(text, &value))
        return false;
    *place = !value;
    return true;
}

static bool set_bit(struct setting *s, const char *text)
{
    unsigned *place = member(s);
    bool value;

    if (!value_ini_bool(text, &value))
        return false;
    *place = value ? *place | (unsigned)s->field->min : *place & ~(unsigned)s->field->min;
    return true;
}

static bool set_level(struct setting *s, const char *text)
{
    enum log_level *place = member(s);
    int level = log_level_parse(text);

    if (level < 0)
        return false;
    *place = (enum log_level)level;
    return true;
}

static bool set_ports(struct setting *s, const char *text)
{
    struct port_range **place = member(s);
    size_t *count = counter(s);
    struct port_range *former = *place;

    if (!value_port_ranges(text, place, count))
        return false;
    mem_free(former);
    return true;
}

static void free_strings(char **strings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(strings[i]);
    mem_free(strings);
}

static bool set_pins(struct setting *s, const char *text)
{
    char ***place = member(s);
    size_t *place_count = counter(s);
    char **pins = NULL;
    size_t count = 0;
    char *item;

    while ((item = value_next_item(&text)) != NULL) {
        if (count == FIELD_LIST_MAX || !value_pin(item)) {
            mem_free(item);
            free_strings(pins, count);
            return false;
        }
        pins = mem_array(pins, count + 1, sizeof(*pins));
        pins[count++] = item;
    }
    free_strings(*place, *place_count);
    *place = pins;
    *place_count = count;
    return true;
}

static void take_token(struct setting *s, char *token, bool unquoted)
{
    char **place = member(s);

    token_free(*place);
    *place = token;
    if (unquoted)
        problem_warn(s->problems, s->where,
                     "the quotes around the token were removed, as frpc removes them");
}

static bool set_token(struct setting *s, const char *text)
{
    char *token;
    bool unquoted;
    const char *rule = token_from_text(text, strlen(text), &token, &unquoted);

    if (rule) {
        snprintf(s->why, sizeof(s->why), "%s", rule);
        return false;
    }
    take_token(s, token, unquoted);
    return true;
}

static bool set_token_file(struct setting *s, const char *text)
{
    char *token;
    bool unquoted;

    if (!value_word(text, VALUE_PATH_MAX))
        return false;
    if (token_from_file(text, &token, &unquoted, s->why, sizeof(s->why)) != 0)
        return false;
    take_token(s, token, unquoted);
    return true;
}

static bool set_any(struct setting *s, const char *text)
{
    char **place = member(s);

    if (strlen(text) > (size_t)s->field->max)
        return false;
    token_free(*place);
    *place = mem_strdup(text);
    return true;
}

static bool set_client_id(struct setting *s, const char *text)
{
    enum { DIGITS = 4 };

    if (strlen(text) != DIGITS || strspn(text, "0123456789") != DIGITS || strcmp(text, "0000") == 0)
        return false;
    memcpy(member(s), text, DIGITS + 1);
    return true;
}

static bool set_choice(struct setting *s, const char *text)
{
    const char *word = s->field->choices;
    int *place = member(s);
    int index = 0;

    while (*word != '\0') {
        size_t len = strcspn(word, "|");

        if (strlen(text) == len && strncasecmp(text, word, len) == 0) {
            *place = index;
            return true;
        }
        index++;
        word += len + (word[len] == '|');
    }
    return false;
}

static bool set_port_span(struct setting *s, const char *text)
{
    uint16_t *first = member(s);
    uint16_t *last = counter(s);
    struct port_range *range;
    size_t count;
    bool good;

    if (!value_port_ranges(text, &range, &count))
        return false;
    good = count == 1 && (int64_t)range->last - range->first < s->field->max;
    if (good) {
        *first = range->first;
        *last = range->last;
    }
    mem_free(range);
    return good;
}

static const struct {
    bool (*set)(struct setting *s, const char *text);
    const char *rule;
} kinds[] = {
    [FIELD_TEXT] = {set_text, "must not be blank or have control characters"},
    [FIELD_NAME] = {set_name, "must be UTF-8, not blank, and without control characters"},
    [FIELD_PATH] = {set_path, "must be an absolute path without control characters"},
    [FIELD_FILE] = {set_file, "must be a path without control characters"},
    [FIELD_HOST] = {set_host, "must be a DNS name, an IPv4 address, or an IPv6 address without "
                              "brackets"},
    [FIELD_IP] = {set_ip, "must be an IPv4 or IPv6 address"},
    [FIELD_SCOPE] = {set_scope, "must be an IP address, a CIDR or the name of an interface"},
    [FIELD_ADDR] = {set_addr, "must be host:port with a DNS name, an IPv4 address or [IPv6], and a "
                              "port from 1 to 65535 without leading zeros"},
    [FIELD_ADDR_LIST] = {set_addr_list, "must be host:port, or a comma list of at most 16, with a "
                                        "DNS name, an IPv4 address or [IPv6], and a port from 1 to "
                                        "65535 without leading zeros"},
    [FIELD_LISTEN] = {set_listen, "must be address:port or :port with an IP address ([IPv6] in "
                                  "brackets) and a port from 1 to 65535"},
    [FIELD_PAGE] = {set_page, "must be off, a port from 1 to 65535 (on 127.0.0.1), or address:port "
                              "with an IP address ([IPv6] in brackets)"},
    [FIELD_PORT] = {set_port, "must be a port from 1 to 65535 without leading zeros"},
    [FIELD_PORT_OR_0] = {set_port_or_0, "must be a port from 0 to 65535 without leading zeros"},
    [FIELD_INT] = {set_int, "must be a whole number in range without leading zeros"},
    [FIELD_SIZE] = {set_size, "must be bytes or a number with K, M or G"},
    [FIELD_YES_NO] = {set_yes_no, "must be true, 1, yes, on, or false, 0, no, off, empty"},
    [FIELD_BOOL] = {set_bool, "must be true or false"},
    [FIELD_NOT_BOOL] = {set_not_bool, "must be true or false"},
    [FIELD_BIT] = {set_bit, "must be true or false"},
    [FIELD_LEVEL] = {set_level, "must be trace, debug, info, warn or error"},
    [FIELD_PORTS] = {set_ports, "must be a list of ports and ranges from 1 to 65535"},
    [FIELD_PINS] = {set_pins, "must be a comma list of at most 16 SHA-256 values in base64 (44 "
                              "characters each)"},
    [FIELD_TOKEN] = {set_token, "blanks at the ends and one pair of quotes are removed; no control "
                                "characters, no {{, no backslash at the end, at most 4096 bytes"},
    [FIELD_TOKEN_FILE] = {set_token_file, "must name a file that holds the token"},
    [FIELD_ANY] = {set_any, "is too long"},
    [FIELD_CHOICE] = {set_choice, "must be one of the words named"},
    [FIELD_PORT_SPAN] = {set_port_span, "must be FIRST-LAST with ports from 1 to 65535"},
    [FIELD_CLIENT_ID] = {set_client_id, "must be exactly four digits from 0001 to 9999"},
};

const char *field_rule(const struct field *field)
{
    return field->rule ? field->rule : kinds[field->kind].rule;
}

/* Who puts the token itself where its file belongs must not find it in a log. */
static bool may_show(const struct field *field, const char *text)
{
    if (field->kind == FIELD_TOKEN_FILE)
        return text[0] == '/' || text[0] == '.';
    return !field->secret;
}

bool field_set(const struct field *field, void *base, const char *text, const char *where,
               struct problems *problems)
{
    struct setting s = {.field = field, .base = base, .where = where, .problems = problems};

    if (field->zero_unset && strcmp(text, "0") == 0)
        return true;
    if (kinds[field->kind].set(&s, text))
        return true;
    problem_add(problems, where, may_show(field, text) ? text : NULL,
                s.why[0] ? s.why : field_rule(field), field->example);
    return false;
}

#include "config/value.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/text.h"

enum { LABEL_MAX = 63 }; /* RFC 1035 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Leading zeros are refused because other programs read them as octal. */
static bool plain_uint(const char *text, size_t len, uint64_t max, uint64_t *out)
{
    if (len > 1 && text[0] == '0')
        return false;
    return text_uint(text, len, max, out);
}

bool value_int(const char *text, int64_t min, int64_t max, int64_t *out)
{
    bool negative = text[0] == '-';
    uint64_t magnitude;
    int64_t value;

    text += negative;
    if (!plain_uint(text, strlen(text), INT64_MAX, &magnitude))
        return false;
    if (negative && magnitude == 0)
        return false;
    value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

bool value_port(const char *text, uint16_t *out)
{
    uint64_t port;

    if (!plain_uint(text, strlen(text), UINT16_MAX, &port) || port == 0)
        return false;
    *out = (uint16_t)port;
    return true;
}

bool value_is_ip(const char *text)
{
    struct in6_addr any;

    return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

static bool label_ok(const char *label, size_t len)
{
    if (len == 0 || len > LABEL_MAX || label[0] == '-' || label[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(label[i]) && label[i] != '-' && label[i] != '_')
            return false;
    return true;
}

static bool name_ok(const char *text)
{
    size_t len = strlen(text);
    size_t label = 0;

    if (len > 0 && text[len - 1] == '.')
        len--;
    if (len == 0 || len > VALUE_HOST_MAX)
        return false;
    while (label < len) {
        size_t end = label;

        while (end < len && text[end] != '.')
            end++;
        if (!label_ok(text + label, end - label) || end + 1 == len)
            return false;
        label = end + 1;
    }
    return true;
}

bool value_host(const char *text)
{
    if (value_is_ip(text))
        return true;
    if (strspn(text, "0123456789.") == strlen(text))
        return false;
    return name_ok(text);
}

static bool split_host_port(const char *text, char **host, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    size_t len;
    bool brackets;

    if (colon == NULL || !value_port(colon + 1, port))
        return false;
    len = (size_t)(colon - text);
    brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    *host = brackets ? mem_strndup(text + 1, len - 2) : mem_strndup(text, len);
    /* Brackets and only they say IPv6: "::1:80" could be an address without a port. */
    if (brackets == (strchr(*host, ':') != NULL))
        return true;
    mem_free(*host);
    return false;
}

bool value_host_port(const char *text, struct server_addr *out)
{
    struct server_addr addr;

    if (!split_host_port(text, &addr.host, &addr.port))
        return false;
    if (!value_host(addr.host)) {
        mem_free(addr.host);
        return false;
    }
    *out = addr;
    return true;
}

bool value_listen(const char *text, struct server_addr *out)
{
    struct server_addr addr;

    if (!split_host_port(text, &addr.host, &addr.port))
        return false;
    if (addr.host[0] == '\0') {
        mem_free(addr.host);
        addr.host = mem_strdup("0.0.0.0");
    } else if (!value_is_ip(addr.host)) {
        mem_free(addr.host);
        return false;
    }
    *out = addr;
    return true;
}

static bool cidr_ok(const char *text, const char *slash)
{
    char *address = mem_strndup(text, (size_t)(slash - text));
    int64_t bits;
    bool ok =
        value_is_ip(address) && value_int(slash + 1, 0, strchr(address, ':') ? 128 : 32, &bits);

    mem_free(address);
    return ok;
}

bool value_bind_scope(const char *text)
{
    const char *slash = strchr(text, '/');
    size_t len = strlen(text);

    if (slash)
        return cidr_ok(text, slash);
    if (value_is_ip(text))
        return true;
    /* A mistyped address must not pass for an interface; no real interface is digits and dots. */
    if (len == 0 || len >= IF_NAMESIZE || strspn(text, "0123456789.") == len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(text[i]) && strchr("-_.@", text[i]) == NULL)
            return false;
    return true;
}

bool value_yes_no(const char *text, bool *out)
{
    static const char *const words[] = {"", "false", "0", "no", "off", "true", "1", "yes", "on"};
    enum { FIRST_YES = 5 };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(text, words[i]) == 0) {
            *out = i >= FIRST_YES;
            return true;
        }
    return false;
}

bool value_ini_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"1",   "t",   "T", "true", "TRUE", "True", "YES",
                                      "yes", "Yes", "y", "ON",   "on",   "On"};
    static const char *const no[] = {"0",  "f",  "F", "false", "FALSE", "False", "NO",
                                     "no", "No", "n", "OFF",   "off",   "Off"};

    _Static_assert(sizeof(yes) == sizeof(no), "one loop serves both");
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcmp(text, yes[i]) != 0 && strcmp(text, no[i]) != 0)
            continue;
        *out = strcmp(text, yes[i]) == 0;
        return true;
    }
    return false;
}

char *value_next_item(const char **at)
{
    const char *start = *at;
    const char *end;

    if (start == NULL)
        return NULL;
    end = start + strcspn(start, ",");
    *at = *end ? end + 1 : NULL;
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return mem_strndup(start, (size_t)(end - start));
}

static void trim_blanks(char *text)
{
    size_t skip = strspn(text, " \t");
    size_t len = strlen(text + skip);

    memmove(text, text + skip, len + 1);
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        text[--len] = '\0';
}

static bool one_range(char *item, struct port_range *out)
{
    char *dash = strchr(item, '-');

    if (dash == NULL) {
        if (!value_port(item, &out->first))
            return false;
        out->last = out->first;
        return true;
    }
    *dash = '\0';
    trim_blanks(item);
    trim_blanks(dash + 1);
    return value_port(item, &out->first) && value_port(dash + 1, &out->last) &&
           out->first <= out->last;
}

bool value_port_ranges(const char *text, struct port_range **out, size_t *count)
{
    struct port_range *ranges = NULL;
    size_t n = 0;
    const char *at = text;
    char *item;
    bool ok = true;

    while (ok && (item = value_next_item(&at)) != NULL) {
        struct port_range range;

        ok = n < VALUE_RANGES_MAX && one_range(item, &range);
        mem_free(item);
        if (!ok)
            break;
        ranges = mem_array(ranges, n + 1, sizeof(*ranges));
        ranges[n++] = range;
    }
    if (!ok) {
        mem_free(ranges);
        return false;
    }
    *out = ranges;
    *count = n;
    return true;
}

bool value_is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

bool value_abs_path(const char *text)
{
    return text[0] == '/' && value_word(text, VALUE_PATH_MAX);
}

bool value_word(const char *text, size_t max)
{
    size_t len = strlen(text);

    return len <= max && strspn(text, " ") < len && value_is_printable(text);
}

static bool size_unit(const char *unit, uint64_t *factor)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {{"", 1},           {"B", 1},
                 {"K", 1ULL << 10}, {"KiB", 1ULL << 10},
                 {"M", 1ULL << 20}, {"MiB", 1ULL << 20},
                 {"G", 1ULL << 30}, {"GiB", 1ULL << 30}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcasecmp(unit, units[i].name) == 0) {
            *factor = units[i].factor;
            return true;
        }
    return false;
}

bool value_size(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t factor;
    uint64_t value;

    if (!size_unit(text + digits, &factor) || !plain_uint(text, digits, max / factor, &value))
        return false;
    if (value * factor < min)
        return false;
    *out = value * factor;
    return true;
}

bool value_pin(const char *text)
{
    /* The last of 43 characters carries four bits of the hash and two that must be zero. */
    static const char last[] = "AEIMQUYcgkosw048";

    if (strlen(text) != VALUE_PIN_CHARS || text[VALUE_PIN_CHARS - 1] != '=')
        return false;
    for (size_t i = 0; i < VALUE_PIN_CHARS - 1; i++)
        if (!is_alnum(text[i]) && text[i] != '+' && text[i] != '/')
            return false;
    return strchr(last, text[VALUE_PIN_CHARS - 2]) != NULL;
}

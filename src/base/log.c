#include "base/log.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* Longer texts are cut: what an operator needs fits. A line of JSON may need more room for the same
 * text, and is no longer than what a pipe takes in one piece (PIPE_BUF). */
enum { TEXT_LINE_MAX = 2048, JSON_LINE_MAX = 4096 };

enum { STAMP_MAX = 48 };

struct log {
    int fd;
    const char *tag;
    size_t tag_len;
    enum log_level level;
    enum log_format format;
    uint64_t lost; /* lines that found no room in a descriptor that does not wait */
    time_t second; /* what `stamp` says: a line up to its milliseconds */
    char stamp[STAMP_MAX];
    size_t stamp_len;
};

static const char *const level_names[] = {"trace", "debug", "info", "warn", "error"};
static const char level_letters[] = "TDIWE";

struct log *log_new(int fd, const char *tag, enum log_level level, enum log_format format)
{
    struct log *log = mem_zalloc(sizeof(*log));

    log->fd = fd;
    log->tag = tag;
    log->tag_len = strnlen(tag, LOG_TAG_MAX);
    log->level = level;
    log->format = format;
    return log;
}

struct log *log_child(const struct log *log, const char *tag)
{
    return log ? log_new(log->fd, tag, log->level, log->format) : NULL;
}

enum log_format log_format(const struct log *log)
{
    return log ? log->format : LOG_TEXT;
}

void log_free(struct log *log)
{
    mem_free(log);
}

/* The calendar is asked once a second: a busy gateway writes thousands of lines in one. Programs
 * get the same time on every machine. */
static void set_stamp(struct log *log, time_t second)
{
    struct tm tm;

    if (log->format == LOG_JSON)
        gmtime_r(&second, &tm);
    else
        localtime_r(&second, &tm);
    log->stamp_len = strftime(
        log->stamp, sizeof(log->stamp),
        log->format == LOG_JSON ? "{\"time\":\"%Y-%m-%dT%H:%M:%S." : "%Y-%m-%d %H:%M:%S.", &tm);
    log->second = second;
}

static size_t put(char *out, const char *text)
{
    size_t len = strlen(text);

    memcpy(out, text, len);
    return len;
}

/* Formed by hand: printf would cost more than the rest of an access line. */
static size_t line_head(char out[LOG_HEAD_MAX], struct log *log, enum log_level level)
{
    bool json = log->format == LOG_JSON;
    const char letter[] = {level_letters[level], '\0'};
    struct timespec now;
    unsigned ms;
    size_t used;

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != log->second)
        set_stamp(log, now.tv_sec);
    memcpy(out, log->stamp, log->stamp_len);
    used = log->stamp_len;
    ms = (unsigned)(now.tv_nsec / 1000000);
    out[used++] = (char)('0' + ms / 100);
    out[used++] = (char)('0' + ms / 10 % 10);
    out[used++] = (char)('0' + ms % 10);
    used += put(out + used, json ? "Z\",\"level\":\"" : " [");
    used += put(out + used, json ? level_names[level] : letter);
    used += put(out + used, json ? "\",\"tag\":\"" : "] [");
    memcpy(out + used, log->tag, log->tag_len);
    used += log->tag_len;
    return used + put(out + used, json ? "\",\"text\":\"" : "] ");
}

/* false: nobody reads, and the descriptor does not wait. Other failures are nobody's business: a
 * log that cannot be written must not stop the work. */
static bool put_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 || errno != EAGAIN;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static uint64_t lines_in(const char *data, size_t len)
{
    uint64_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += data[i] == '\n';
    return n;
}

/* A whole line; returns its length. */
static size_t form(struct log *log, enum log_level level, const char *text, size_t len,
                   char out[JSON_LINE_MAX])
{
    static const char json_end[] = "\"}\n";
    const size_t json_end_len = sizeof(json_end) - 1;
    size_t used = line_head(out, log, level);

    if (log->format == LOG_JSON) {
        used += text_put_json(out + used, JSON_LINE_MAX - json_end_len - used, text, len);
        return used + put(out + used, json_end);
    }
    if (len > TEXT_LINE_MAX - 1 - used)
        len = TEXT_LINE_MAX - 1 - used;
    memcpy(out + used, text, len);
    out[used + len] = '\n';
    return used + len + 1;
}

/* What was lost is said where it is missing. */
static bool tell_lost(struct log *log)
{
    char line[JSON_LINE_MAX];
    char text[80];
    int len = snprintf(text, sizeof(text),
                       "%" PRIu64 " lines are missing here: nobody read the log", log->lost);

    if (!put_all(log->fd, line, form(log, LOG_WARN, text, (size_t)len, line)))
        return false;
    log->lost = 0;
    return true;
}

static void put_lines(struct log *log, const char *data, size_t len)
{
    if ((log->lost > 0 && !tell_lost(log)) || !put_all(log->fd, data, len))
        log->lost += lines_in(data, len);
}

static bool wanted(const struct log *log, enum log_level level)
{
    return log != NULL && level >= log->level && level < LOG_SILENT;
}

void log_write(struct log *log, enum log_level level, const char *format, ...)
{
    char line[JSON_LINE_MAX];
    char text[TEXT_LINE_MAX];
    va_list args;
    int len;

    if (!wanted(log, level))
        return;
    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0)
        len = 0;
    if (len > (int)sizeof(text) - 1)
        len = (int)sizeof(text) - 1;
    put_lines(log, line, form(log, level, text, (size_t)len, line));
}

size_t log_head(struct log *log, enum log_level level, char out[LOG_HEAD_MAX])
{
    return wanted(log, level) ? line_head(out, log, level) : 0;
}

void log_put(struct log *log, const char *lines, size_t len)
{
    if (log != NULL)
        put_lines(log, lines, len);
}

int log_level_parse(const char *text)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
        if (strcasecmp(text, level_names[i]) == 0)
            return (int)i;
    return -1;
}

char *log_safe(char *out, size_t size, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0;

    if (size < LOG_SAFE_MIN) {
        if (size > 0)
            out[0] = '\0';
        return out;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        size_t need = c >= 0x20 && c < 0x7f ? 1 : 4;

        if (used + need + 4 > size) { /* room for the dots and the terminator */
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        if (need == 1) {
            out[used++] = (char)c;
        } else {
            out[used++] = '\\';
            out[used++] = 'x';
            out[used++] = hex[c >> 4];
            out[used++] = hex[c & 15];
        }
    }
    out[used] = '\0';
    return out;
}

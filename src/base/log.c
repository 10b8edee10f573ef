#include "base/log.h"

#include "base/mem.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

struct log {
    int fd;
    const char *tag;
    enum log_level level;
};

static const char *const level_names[] = {"trace", "debug", "info", "warn", "error"};
static const char level_letters[] = "TDIWE";

struct log *log_new(int fd, const char *tag, enum log_level level)
{
    struct log *log = mem_zalloc(sizeof(*log));

    log->fd = fd;
    log->tag = tag;
    log->level = level;
    return log;
}

struct log *log_child(const struct log *log, const char *tag)
{
    return log ? log_new(log->fd, tag, log->level) : NULL;
}

void log_free(struct log *log)
{
    mem_free(log);
}

static size_t line_head(char *line, size_t size, const struct log *log, enum log_level level)
{
    struct timespec now;
    struct tm local;
    size_t used;
    int added;

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    used = strftime(line, size, "%Y-%m-%d %H:%M:%S", &local);
    added = snprintf(line + used, size - used, ".%03ld [%c] [%s] ", now.tv_nsec / 1000000,
                     level_letters[level], log->tag);
    return used + (size_t)(added > 0 ? added : 0);
}

static void put_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a log that cannot be written must not stop the work */
        data += n;
        len -= (size_t)n;
    }
}

static bool wanted(const struct log *log, enum log_level level)
{
    return log != NULL && level >= log->level && level < LOG_SILENT;
}

/* Longer lines are cut: what an operator needs fits, and one write(2) keeps lines whole in a pipe.
 */
static size_t form_line(char out[LOG_LINE_MAX], const struct log *log, enum log_level level,
                        const char *format, va_list args)
{
    size_t used = line_head(out, LOG_LINE_MAX, log, level);
    int added = vsnprintf(out + used, LOG_LINE_MAX - used - 1, format, args);

    if (added > 0)
        used += (size_t)added;
    if (used > LOG_LINE_MAX - 2)
        used = LOG_LINE_MAX - 2;
    out[used++] = '\n';
    return used;
}

void log_write(struct log *log, enum log_level level, const char *format, ...)
{
    char line[LOG_LINE_MAX];
    va_list args;

    if (!wanted(log, level))
        return;
    va_start(args, format);
    put_all(log->fd, line, form_line(line, log, level, format, args));
    va_end(args);
}

size_t log_format(const struct log *log, enum log_level level, char *out, size_t size,
                  const char *format, ...)
{
    va_list args;
    size_t used;

    if (!wanted(log, level) || size < LOG_LINE_MAX)
        return 0;
    va_start(args, format);
    used = form_line(out, log, level, format, args);
    va_end(args);
    return used;
}

void log_put(const struct log *log, const char *lines, size_t len)
{
    if (log != NULL)
        put_all(log->fd, lines, len);
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

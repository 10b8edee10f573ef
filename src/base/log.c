#include "base/log.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* Longer lines are cut: what an operator needs fits, and one write(2) keeps lines whole in a pipe.
 */
enum { LINE_MAX_BYTES = 2048 };

struct log {
    int fd;
    const char *tag;
    enum log_level level;
    uint64_t lost; /* lines that found no room in a descriptor that does not wait */
    time_t second; /* what `stamp` says */
    char stamp[24];
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

/* Local time is asked for once a second: a busy gateway writes thousands of lines in one. */
static void set_stamp(struct log *log, time_t second)
{
    struct tm local;

    localtime_r(&second, &local);
    strftime(log->stamp, sizeof(log->stamp), "%Y-%m-%d %H:%M:%S", &local);
    log->second = second;
}

static size_t line_head(char out[LOG_HEAD_MAX], struct log *log, enum log_level level)
{
    struct timespec now;
    int used;

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != log->second)
        set_stamp(log, now.tv_sec);
    used = snprintf(out, LOG_HEAD_MAX, "%s.%03ld [%c] [%s] ", log->stamp, now.tv_nsec / 1000000,
                    level_letters[level], log->tag);
    return used < LOG_HEAD_MAX ? (size_t)used : LOG_HEAD_MAX - 1;
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

/* What was lost is said where it is missing. */
static bool tell_lost(struct log *log)
{
    char line[LOG_HEAD_MAX + 64];
    size_t used = line_head(line, log, LOG_WARN);

    used +=
        (size_t)snprintf(line + used, sizeof(line) - used,
                         "%" PRIu64 " lines are missing here: nobody read the log\n", log->lost);
    if (!put_all(log->fd, line, used))
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
    char line[LINE_MAX_BYTES];
    va_list args;
    size_t used;
    int added;

    if (!wanted(log, level))
        return;
    used = line_head(line, log, level);
    va_start(args, format);
    added = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
    va_end(args);
    if (added > 0)
        used += (size_t)added;
    if (used > sizeof(line) - 2)
        used = sizeof(line) - 2;
    line[used++] = '\n';
    put_lines(log, line, used);
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

/* Log lines for operators. One line an event, on stdout (operators look for them with
 * `docker logs | grep frpc`). The text of a line is formed by us; whatever a peer sent goes through
 * log_safe first, so a peer can neither start a line nor colour a terminal.
 *
 * For people:   2026-11-29 21:05:54.123 [I] [frpc] text
 * For programs: {"time":"2026-11-29T21:05:54.123Z","level":"info","tag":"frpc","text":"text"}
 * The second is one JSON object a line, its time in UTC, and each has these four members. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stddef.h>

enum log_level {
    LOG_TRACE = 0,
    LOG_DEBUG = 1,
    LOG_INFO = 2,
    LOG_WARN = 3,
    LOG_ERROR = 4,
    LOG_SILENT = 5,
};

enum log_format {
    LOG_TEXT = 0,
    LOG_JSON = 1,
};

struct log;

/* A log writing to `fd`, which stays the caller's. `tag` (static, e.g. "frpc": at most LOG_TAG_MAX
 * letters and digits, other text is cut) is in every line.
 * Where `fd` does not wait (O_NONBLOCK), lines that find no room are counted, and said when there
 * is room again. */
enum { LOG_TAG_MAX = 15 };
struct log *log_new(int fd, const char *tag, enum log_level level, enum log_format format);
void log_free(struct log *log);
/* A second tag on the same descriptor, level and format; freed with log_free on its own. */
struct log *log_child(const struct log *log, const char *tag);

/* A NULL log swallows everything, so that cores and tests need no special case. */
void log_write(struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* For whoever writes many lines at a time: the beginning of one, up to where its text goes (at most
 * LOG_HEAD_MAX bytes, not terminated). 0: a line of this level is not wanted. With LOG_JSON that is
 * inside the quotes of "text": what follows is escaped (text_put_json) and closes them and the
 * object. log_put writes whole lines that begin so and end with a newline. */
enum { LOG_HEAD_MAX = 112 };
enum log_format log_format(const struct log *log);
size_t log_head(struct log *log, enum log_level level, char out[LOG_HEAD_MAX]);
void log_put(struct log *log, const char *lines, size_t len);

#define log_debug(log, ...) log_write((log), LOG_DEBUG, __VA_ARGS__)
#define log_info(log, ...)  log_write((log), LOG_INFO, __VA_ARGS__)
#define log_warn(log, ...)  log_write((log), LOG_WARN, __VA_ARGS__)
#define log_error(log, ...) log_write((log), LOG_ERROR, __VA_ARGS__)

/* trace, debug, info, warn, error (any case, as frp spells them) → level; -1 for anything else. */
int log_level_parse(const char *text);

enum { LOG_SAFE_MIN = 4 }; /* room for "..."; log_safe leaves smaller buffers empty */

/* Copies at most size-1 bytes of printable ASCII from `text` (len bytes) into `out`, everything
 * else as \xNN, cut with "..." when it does not fit; always terminated; returns `out`. */
char *log_safe(char *out, size_t size, const char *text, size_t len);

#endif

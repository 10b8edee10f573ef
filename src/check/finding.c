#include "check/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum {
    SUBJECT_MAX = 300, /* a host name and a port */
    TEXT_MAX = 700,    /* a sentence with what a peer said in it */
};

static const struct {
    const char *text;
    const char *about;
} ids[CHECK_ID_COUNT] = {
#define CHECK_ID(name, text, about) {text, about},
    CHECK_IDS(CHECK_ID)
#undef CHECK_ID
};

const char *check_id_text(enum check_id id)
{
    return ids[id].text;
}

const char *check_id_about(enum check_id id)
{
    return ids[id].about;
}

static char *safe_copy(const char *text, size_t size)
{
    char safe[TEXT_MAX];

    return mem_strdup(log_safe(safe, size, text, strlen(text)));
}

__attribute__((format(printf, 1, 0))) static char *safe_format(const char *format, va_list args)
{
    char text[TEXT_MAX];

    vsnprintf(text, sizeof(text), format, args);
    return safe_copy(text, sizeof(text));
}

/* Texts of the network begin with the address, which is the subject already. */
static void drop_subject(char *found, const char *subject)
{
    size_t len = subject != NULL ? strlen(subject) : 0;

    if (len > 0 && strncmp(found, subject, len) == 0 && strncmp(found + len, ": ", 2) == 0)
        memmove(found, found + len + 2, strlen(found + len + 2) + 1);
}

void finding_add(struct findings *list, enum check_id id, const char *subject, enum verdict verdict,
                 const char *format, ...)
{
    struct finding *f;
    va_list args;

    list->items = mem_array(list->items, list->count + 1, sizeof(*list->items));
    f = &list->items[list->count++];
    list->of[verdict]++;
    va_start(args, format);
    *f = (struct finding){
        .id = id,
        .verdict = verdict,
        .subject = subject != NULL ? safe_copy(subject, SUBJECT_MAX) : NULL,
        .found = safe_format(format, args),
    };
    va_end(args);
    drop_subject(f->found, f->subject);
}

void finding_remedy(struct findings *list, const char *format, ...)
{
    struct finding *last = &list->items[list->count - 1];
    va_list args;

    mem_free(last->remedy);
    va_start(args, format);
    last->remedy = safe_format(format, args);
    va_end(args);
}

void finding_skip(struct findings *list, enum check_id id, const char *subject, enum check_id cause)
{
    finding_add(list, id, subject, VERDICT_SKIP, "not looked at, because %s failed",
                check_id_text(cause));
}

int findings_status(const struct findings *list)
{
    return list->of[VERDICT_FAIL] > 0 ? 1 : 0;
}

void findings_free(struct findings *list)
{
    for (size_t i = 0; i < list->count; i++) {
        mem_free(list->items[i].subject);
        mem_free(list->items[i].found);
        mem_free(list->items[i].remedy);
    }
    mem_free(list->items);
    *list = (struct findings){0};
}

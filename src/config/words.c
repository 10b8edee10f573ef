#include "config/words.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

struct reader {
    const char *at;
    char *out; /* where the next character of a word goes */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* What stands in quotes, from the opening one on. */
static bool read_quoted(struct reader *r)
{
    char quote = *r->at++;

    for (; *r->at != quote; r->at++) {
        if (*r->at == '\\' && quote == '"')
            r->at++;
        if (*r->at == '\0')
            return false;
        *r->out++ = *r->at;
    }
    r->at++;
    return true;
}

static bool read_word(struct reader *r)
{
    while (*r->at != '\0' && !is_blank(*r->at)) {
        if (*r->at == '\'' || *r->at == '"') {
            if (!read_quoted(r))
                return false;
            continue;
        }
        if (*r->at == '\\' && *++r->at == '\0')
            return false;
        *r->out++ = *r->at++;
    }
    *r->out++ = '\0';
    return true;
}

char **words_split(const char *text)
{
    /* no more words than half of the characters, and no more characters than there are */
    size_t most = strlen(text) / 2 + 1;
    char **words = mem_alloc((most + 1) * sizeof(*words) + strlen(text) + 1);
    struct reader r = {.at = text, .out = (char *)(words + most + 1)};
    size_t n = 0;

    for (;;) {
        while (is_blank(*r.at))
            r.at++;
        if (*r.at == '\0')
            break;
        words[n++] = r.out;
        if (!read_word(&r)) {
            n = 0;
            break;
        }
    }
    words[n] = NULL;
    if (n > 0)
        return words;
    mem_free(words);
    return NULL;
}

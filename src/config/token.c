#include "config/token.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/file.h"
#include "config/ini.h"
#include "config/value.h"

static const char *decode_rule(int code)
{
    if (code == ERR_TYPE)
        return "must not end with a backslash: frpc would join the next line of its file to it";
    return "opens with a quote (` or \"\"\") that is never closed";
}

static const char *check_raw(const char *text, size_t len)
{
    if (len == 0)
        return "must not be empty";
    if (len > TOKEN_MAX)
        return "must not be longer than 4096 bytes";
    if (memchr(text, '\0', len) != NULL)
        return "must not contain control characters or line breaks";
    return NULL;
}

static const char *check_decoded(const char *token)
{
    const char *at = token;
    size_t len;

    if (*token == '\0')
        return "must not be empty";
    if (!value_is_printable(token))
        return "must not contain control characters or line breaks";
    if (strstr(token, "{{") != NULL)
        return "must not contain {{ : frpc reads it as the start of a template";
    if (ini_reference(&at, &len) != NULL)
        return "must not contain %(...)s : frpc reads it as a reference to another key";
    return NULL;
}

const char *token_from_text(const char *text, size_t len, char **out, bool *unquoted)
{
    const char *rule;
    char *token;
    int code;

    ini_trim(&text, &len);
    rule = check_raw(text, len);
    if (rule)
        return rule;
    code = ini_decode(text, len, &token, unquoted);
    if (code != 0)
        return decode_rule(code);
    rule = check_decoded(token);
    if (rule) {
        token_free(token);
        return rule;
    }
    *out = token;
    return NULL;
}

int token_from_file(const char *path, char **out, bool *unquoted, char *why, size_t why_size)
{
    /* Room for blanks around the longest token, and for saying that one is too long. */
    const size_t file_max = (size_t)TOKEN_MAX * 4;
    const char *rule;
    char *data;
    size_t len;
    int code = file_read(path, file_max, &data, &len, why, why_size);

    if (code != 0)
        return code;
    rule = token_from_text(data, len, out, unquoted);
    mem_free_secret(data, len);
    if (rule == NULL)
        return 0;
    snprintf(why, why_size, "its content %s", rule);
    return ERR_SYNTAX;
}

void token_free(char *token)
{
    if (token)
        mem_free_secret(token, strlen(token));
}

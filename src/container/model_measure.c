/* How much there is to fetch. The hub's own library is asked, because it knows the endpoint, the
 * token, proxies and certificates that the fetching tool will use: a client of ours would have to
 * know all of them again, and could be told something else. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "container/model_internal.h"

enum {
    MEASURE_MS = 60000, /* Python starts in a second or two; the hub may be slow */
    LOOK_AGAIN_MS = 100,
    RETRY_AFTER_MAX_S = 86400,
};

/* One line: "size BYTES"; "status CODE RETRY-AFTER CLASS" (CODE 0: no answer); "none". A blob that
 * a repository has under two names is on disk once. */
static const char program[] =
    "import sys\n"
    "try:\n"
    "    from huggingface_hub import HfApi\n"
    "except Exception:\n"
    "    print('none')\n"
    "    sys.exit(0)\n"
    "try:\n"
    "    info = HfApi().model_info(sys.argv[1], files_metadata=True, timeout=20)\n"
    "    blobs = {(f.blob_id or f.rfilename): (f.size or 0) for f in info.siblings}\n"
    "    print('size', sum(blobs.values()))\n"
    "except Exception as e:\n"
    "    r = getattr(e, 'response', None)\n"
    "    after = r.headers.get('retry-after', '0') if r is not None else '0'\n"
    "    print('status', r.status_code if r is not None else 0,\n"
    "          after if after.isdigit() else '0', type(e).__name__)\n";

/* The next word of a line; its length, 0 at the end. */
static size_t word(const char **at, const char *end, const char **next)
{
    const char *begin = *at;

    while (begin < end && *begin == ' ')
        begin++;
    *next = begin;
    while (*next < end && **next != ' ')
        (*next)++;
    *at = begin;
    return (size_t)(*next - begin);
}

static bool number(const char **at, const char *end, uint64_t max, uint64_t *out)
{
    const char *next;
    size_t len = word(at, end, &next);
    bool good = text_uint(*at, len, max, out);

    *at = next;
    return good;
}

bool model_measure_line(const char *line, size_t len, struct model_measure *out)
{
    const char *end = line + len;
    const char *next;
    const char *at = line;
    size_t first = word(&at, end, &next);
    uint64_t code;
    uint64_t after;

    if (first == 4 && memcmp(at, "size", 4) == 0) {
        at = next;
        return number(&at, end, UINT64_MAX, &out->total);
    }
    if (first != 6 || memcmp(at, "status", 6) != 0)
        return false;
    at = next;
    if (!number(&at, end, 999, &code) || !number(&at, end, UINT64_MAX, &after))
        return false;
    out->fault = model_fault_in(at, (size_t)(end - at));
    if (out->fault == MODEL_FAULT_NONE)
        out->fault = model_fault_of_status((unsigned)code);
    if (out->fault == MODEL_FAULT_NONE)
        out->fault = MODEL_FAULT_HUB; /* an answer that the library could not use */
    out->retry_after_s = (unsigned)(after < RETRY_AFTER_MAX_S ? after : RETRY_AFTER_MAX_S);
    return true;
}

/* The line may stand between warnings of the library. */
static bool find_line(const struct model_tool *t, struct model_measure *out)
{
    const char *end = t->tail + t->tail_len;

    for (const char *at = t->tail; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;

        if (model_measure_line(at, (size_t)(stop - at), out))
            return true;
        at = stop + 1;
    }
    return false;
}

/* Whether this Python has the library. */
static bool ask(const char *python, const char *name, char *const *envp,
                const struct model_identity *who, struct model_measure *out)
{
    const char *const argv[] = {python, "-c", program, name, NULL};
    struct model_tool tool;
    int status = 0;
    bool over = false;

    if (!model_tool_start(&tool, "python", argv, envp, who, NULL))
        return false;
    for (int ms = 0; ms < MEASURE_MS && !over; ms += LOOK_AGAIN_MS) {
        struct pollfd fd = {.fd = tool.out, .events = POLLIN};

        over = model_tool_ended(&tool, 0, &status);
        if (over)
            break;
        if (poll(&fd, 1, LOOK_AGAIN_MS) > 0) /* not again and again without waiting */
            poll(NULL, 0, LOOK_AGAIN_MS / 10);
        model_tool_read(&tool, 0);
    }
    model_tool_end(&tool);
    if (!over) {
        out->fault = MODEL_FAULT_UNREACHABLE;
        return true;
    }
    return find_line(&tool, out);
}

void model_measure_hub(const char *name, const struct model_tools *tools, char *const *envp,
                       const struct model_identity *who, struct model_measure *out,
                       const char **python)
{
    *python = NULL;
    for (size_t i = 0; i < tools->n_pythons && *python == NULL; i++)
        if (ask(tools->python[i], name, envp, who, out))
            *python = tools->python[i];
    out->tool = tools->hf[0]       ? MODEL_BY_HF
                : tools->hf_cli[0] ? MODEL_BY_HF_CLI
                : *python          ? MODEL_BY_PYTHON
                                   : MODEL_BY_NOBODY;
}

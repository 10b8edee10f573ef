/* What went wrong, in one of a closed list of words. */
#include <string.h>

#include "container/model.h"

bool model_fault_final(enum model_fault fault)
{
    switch (fault) {
    case MODEL_FAULT_NAME:
    case MODEL_FAULT_PATH:
    case MODEL_FAULT_NO_MODEL:
    case MODEL_FAULT_REFUSED: /* what it is refused for changes with a variable: a new container */
    case MODEL_FAULT_NO_TOOL:
    case MODEL_FAULT_OFFLINE:
        return true;
    default:
        return false;
    }
}

/* Words of huggingface_hub and of the HTTP libraries below it (requests until 1.0, then httpx), of
 * its commands, and of MLNode's downloader, which passes them on. The first that is found counts:
 * what names the cause stands before what is said of every failure. */
static const struct {
    const char *words;
    enum model_fault fault;
} known[] = {
    {"No space left on device", MODEL_FAULT_DISK_FULL},
    {"Disk quota exceeded", MODEL_FAULT_DISK_FULL},
    {"RepositoryNotFoundError", MODEL_FAULT_NO_MODEL},
    {"Repository Not Found", MODEL_FAULT_NO_MODEL},
    {"Repository not found", MODEL_FAULT_NO_MODEL},
    {"If the repo is private, make sure you are authenticated", MODEL_FAULT_NO_MODEL},
    {"Cannot access gated repo", MODEL_FAULT_REFUSED},
    {"Error: Access denied.", MODEL_FAULT_REFUSED},
    {"GatedRepoError", MODEL_FAULT_REFUSED},
    {"401 Client Error", MODEL_FAULT_REFUSED},
    {"403 Client Error", MODEL_FAULT_REFUSED},
    {"401 Unauthorized", MODEL_FAULT_REFUSED},
    {"403 Forbidden", MODEL_FAULT_REFUSED},
    {"404 Client Error", MODEL_FAULT_NO_MODEL},
    {"404 Not Found", MODEL_FAULT_NO_MODEL},
    {"429 Client Error", MODEL_FAULT_BUSY},
    {"429 Too Many Requests", MODEL_FAULT_BUSY},
    {"HTTP Error 429 thrown", MODEL_FAULT_BUSY},
    {"Consistency check failed", MODEL_FAULT_SIZE},
    {"IncompleteRead", MODEL_FAULT_SIZE},
    {"ChunkedEncodingError", MODEL_FAULT_SIZE},
    {"without sending complete message body", MODEL_FAULT_SIZE},
    {"Download verification failed", MODEL_FAULT_SIZE},
    {" Server Error", MODEL_FAULT_HUB},
    {"Server error '5", MODEL_FAULT_HUB},
    {"500 Internal Server", MODEL_FAULT_HUB},
    {"502 Bad Gateway", MODEL_FAULT_HUB},
    {"503 Service Unavailable", MODEL_FAULT_HUB},
    {"504 Gateway Time", MODEL_FAULT_HUB},
    {"HTTP Error 50", MODEL_FAULT_HUB},
    {"Download stalled", MODEL_FAULT_STALLED},
    {"OfflineModeIsEnabled", MODEL_FAULT_OFFLINE},
    {"Connection refused", MODEL_FAULT_UNREACHABLE},
    {"Name or service not known", MODEL_FAULT_UNREACHABLE},
    {"Temporary failure in name resolution", MODEL_FAULT_UNREACHABLE},
    {"Network is unreachable", MODEL_FAULT_UNREACHABLE},
    {"ConnectionError", MODEL_FAULT_UNREACHABLE},
    {"ConnectError", MODEL_FAULT_UNREACHABLE},
    {"ConnectTimeout", MODEL_FAULT_UNREACHABLE},
    {"ReadTimeout", MODEL_FAULT_UNREACHABLE},
    {"LocalEntryNotFoundError", MODEL_FAULT_UNREACHABLE},
};

enum model_fault model_fault_in(const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (memmem(text, len, known[i].words, strlen(known[i].words)) != NULL)
            return known[i].fault;
    return MODEL_FAULT_NONE;
}

enum model_fault model_fault_of_status(unsigned status)
{
    if (status == 0)
        return MODEL_FAULT_UNREACHABLE;
    if (status == 401 || status == 403)
        return MODEL_FAULT_REFUSED;
    if (status == 404)
        return MODEL_FAULT_NO_MODEL;
    if (status == 429)
        return MODEL_FAULT_BUSY;
    return status >= 400 ? MODEL_FAULT_HUB : MODEL_FAULT_NONE;
}

const char *model_fault_text(enum model_fault fault)
{
    static const char *const texts[MODEL_FAULTS] = {
        [MODEL_FAULT_NONE] = "",
        [MODEL_FAULT_NAME] = "MODEL_NAME is neither a repository (OWNER/NAME) nor a path",
        [MODEL_FAULT_PATH] = "MODEL_NAME is a path that is not there: is its volume mounted?",
        [MODEL_FAULT_NO_MODEL] = "the hub knows no such model: is MODEL_NAME right, and HF_TOKEN "
                                 "set where it is private?",
        [MODEL_FAULT_REFUSED] = "the hub refuses it (401 or 403): set HF_TOKEN to a token of an "
                                "account that was given access",
        [MODEL_FAULT_BUSY] = "the hub has too many requests (429)",
        [MODEL_FAULT_HUB] = "the hub failed (5xx)",
        [MODEL_FAULT_UNREACHABLE] = "the hub does not answer: is there a way out, or HF_ENDPOINT "
                                    "to set?",
        [MODEL_FAULT_SIZE] = "a file came truncated or with the wrong size",
        [MODEL_FAULT_DISK_FULL] = "the disk of HF_HOME is full",
        [MODEL_FAULT_DISK_FLOOR] = "not enough room in HF_HOME",
        [MODEL_FAULT_NO_TOOL] =
            "nothing to fetch it with: MLNode has no endpoint for it, and there "
            "is no hf, huggingface-cli or Python with huggingface_hub",
        [MODEL_FAULT_CRASHED] = "what fetched it failed",
        [MODEL_FAULT_STALLED] = "no byte came for too long",
        [MODEL_FAULT_OFFLINE] = "HF_HUB_OFFLINE is set, and it is not in the cache of HF_HOME",
        [MODEL_FAULT_NODE] = "MLNode does not answer as expected",
        [MODEL_FAULT_NODE_GAVE_UP] = "MLNode's download ended before it was complete; its log "
                                     "may say why",
    };

    return texts[fault];
}

enum model_kind model_kind(const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    size_t first = strspn(name, letters);
    size_t second = name[first] == '/' ? strspn(name + first + 1, letters) : 0;
    size_t len = first + (second > 0 ? 1 + second : 0);

    if (name[0] == '/' || name[0] == '~' || strncmp(name, "./", 2) == 0 ||
        strncmp(name, "../", 3) == 0)
        return MODEL_KIND_PATH;
    /* No part begins with '-', which a tool would take for an option, or with '.'. */
    if (first == 0 || name[len] != '\0' || len > MODEL_REPOSITORY_MAX ||
        strchr("-.", name[0]) != NULL || (second > 0 && strchr("-.", name[first + 1]) != NULL) ||
        (name[first] == '/' && second == 0))
        return MODEL_KIND_NEITHER;
    return MODEL_KIND_REPOSITORY;
}

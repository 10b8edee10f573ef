/* Records from a socket that somebody else may write to, up to what is printed of them: whatever
 * they hold, the documents are whole, and the report is printable. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "container/facts_json.h"
#include "observe/document.h"
#include "observe/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void print(json_t *document)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    report_write(out, document, false);
    fclose(out);
    for (size_t i = 0; i < len; i++)
        CHECK(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
    mem_free(text);
}

/* Bytes as they came are hardly ever a record: the few that decide are set right for most inputs.
 */
static void tame(struct facts *f, uint8_t how)
{
    if (how & 1)
        f->magic = FACTS_MAGIC;
    if (how & 2)
        f->model.magic = 0;
    if (how & 4)
        for (int i = 0; i < PLAN_CHILDREN; i++)
            f->child[i].state %= CHILD_STATES;
    if (how & 8) {
        f->phase %= PHASES;
        f->audit %= FACTS_AUDITS;
        f->n_ports %= AUDIT_PORTS_MAX + 1;
        f->n_restarts %= FACTS_RESTARTS + 1;
    }
    for (int i = 0; (how & 16) && i < FACTS_RESTARTS; i++) {
        f->restarts[i].child %= PLAN_CHILDREN;
        f->restarts[i].why %= FACTS_WHYS;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct document_who who = {.role = "container", .started_s = 1700000000};
    struct facts raw = {0};
    struct facts f;
    json_t *document;

    if (size == 0)
        return 0;
    CHECK(facts_read(data, size, &f) == false || size == sizeof(f));
    memcpy(&raw, data + 1, size - 1 < sizeof(raw) ? size - 1 : sizeof(raw));
    tame(&raw, data[0]);
    if (!facts_read(&raw, sizeof(raw), &f))
        return 0;
    document = document_make(&who, NULL, NULL, facts_model_json(&f),
                             facts_container_json(&f, 1700000010, 10000000));
    CHECK(json_is_object(json_object_get(document, "container")));
    print(document);
    json_decref(document);
    return 0;
}

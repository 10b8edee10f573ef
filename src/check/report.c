#include "check/report.h"

#include <jansson.h>
#include <string.h>

enum {
    COLUMNS_MIN = 40,  /* narrower terminals wrap by themselves */
    COLUMNS_MAX = 120, /* lines longer than this are hard to read */
    INDENT = 4,
};

static const char *const words[VERDICTS] = {"ok", "warn", "FAIL", "skip"};
static const char *const json_words[VERDICTS] = {"ok", "warn", "fail", "skip"};
static const struct {
    const char *sign;
    const char *colour;
} looks[VERDICTS] = {
    {"\xe2\x9c\x93", "\033[32m"}, /* a tick, green */
    {"!", "\033[33m"},            /* yellow */
    {"\xe2\x9c\x97", "\033[31m"}, /* a cross, red */
    {"-", "\033[2m"},             /* dim */
};
static const char plain[] = "\033[0m";
static const char bold[] = "\033[1m";

/* Words of `text` in lines of at most `columns`, the first of which has `used` columns already. */
static void wrap(const char *text, unsigned used, unsigned columns, FILE *out)
{
    while (*text != '\0') {
        size_t word = strcspn(text, " ");

        if (used > INDENT && used + 1 + word > columns) {
            fprintf(out, "\n%*s", INDENT, "");
            used = INDENT;
        } else if (used > INDENT) {
            fputc(' ', out);
            used++;
        }
        fwrite(text, 1, word, out);
        used += (unsigned)word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_on_terminal(const struct finding *f, unsigned columns, FILE *out)
{
    size_t used = strlen(check_id_text(f->id)) + 3 + (f->subject ? strlen(f->subject) + 1 : 0);

    fprintf(out, "%s%s%s %s%s%s%s%s:", looks[f->verdict].colour, looks[f->verdict].sign, plain,
            bold, check_id_text(f->id), plain, f->subject ? " " : "", f->subject ? f->subject : "");
    wrap(f->found, (unsigned)used, columns, out);
    if (f->remedy != NULL) {
        fprintf(out, "  %s>%s ", looks[f->verdict].colour, plain);
        wrap(f->remedy, INDENT, columns, out);
    }
}

static void print_plain(const struct finding *f, FILE *out)
{
    fprintf(out, "%-4s %s%s%s: %s\n", words[f->verdict], check_id_text(f->id),
            f->subject ? " " : "", f->subject ? f->subject : "", f->found);
    if (f->remedy != NULL)
        fprintf(out, "     %s\n", f->remedy);
}

void findings_text(const struct findings *list, bool terminal, unsigned columns, FILE *out)
{
    if (columns < COLUMNS_MIN || columns > COLUMNS_MAX)
        columns = COLUMNS_MAX;
    for (size_t i = 0; i < list->count; i++) {
        if (terminal)
            print_on_terminal(&list->items[i], columns, out);
        else
            print_plain(&list->items[i], out);
    }
    fprintf(out, "\n%zu ok, %zu warn, %zu FAIL, %zu skip\n", list->of[VERDICT_OK],
            list->of[VERDICT_WARN], list->of[VERDICT_FAIL], list->of[VERDICT_SKIP]);
}

static json_t *text_or_null(const char *text)
{
    return text != NULL ? json_string(text) : json_null();
}

static json_t *finding_json(const struct finding *f)
{
    return json_pack("{s:s, s:o, s:s, s:s, s:o}", "id", check_id_text(f->id), "subject",
                     text_or_null(f->subject), "result", json_words[f->verdict], "found", f->found,
                     "remedy", text_or_null(f->remedy));
}

static enum verdict worst(const struct findings *list)
{
    if (list->of[VERDICT_FAIL] > 0)
        return VERDICT_FAIL;
    return list->of[VERDICT_WARN] > 0 ? VERDICT_WARN : VERDICT_OK;
}

void findings_json(const struct findings *list, const char *side, FILE *out)
{
    json_t *findings = json_array();
    json_t *counts = json_object();
    json_t *all;

    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(findings, finding_json(&list->items[i]));
    for (int v = 0; v < VERDICTS; v++)
        json_object_set_new(counts, json_words[v], json_integer((json_int_t)list->of[v]));
    all = json_pack("{s:s, s:s, s:s, s:o, s:o}", "version", MLGATE_VERSION, "side", side, "result",
                    json_words[worst(list)], "counts", counts, "findings", findings);
    json_dumpf(all, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(all);
}

#include "observe/report_broken.h"

#include "observe/problems.h"

static void line(struct report *r, const json_t *problem)
{
    char text[STRING_ROOM];

    if (string_is(problem, "subject", "model"))
        line_add(r, "model %s: ", string(problem, "where", text));
    else if (says(problem, "where"))
        line_add(r, "%s: ", string(problem, "where", text));
    line_add(r, "%s", string(problem, "what", text));
    if (says(problem, "detail"))
        line_add(r, ": %s", string(problem, "detail", text));
    if (says(problem, "remedy"))
        line_add(r, "; %s", string(problem, "remedy", text));
    line_end(r, LINE_BROKEN, "!");
}

/* Found anew, because not every document has the list in it. */
void report_broken(struct report *r, const json_t *document)
{
    json_t *list = problems_list(document);
    size_t i;
    json_t *problem;

    json_array_foreach (list, i, problem)
        line(r, problem);
    json_decref(list);
}

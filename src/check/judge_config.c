#include "check/judge_config.h"

static void add(struct findings *list, const struct problem *p, const char *help)
{
    enum verdict verdict = p->warning ? VERDICT_WARN : VERDICT_FAIL;

    if (p->value != NULL)
        finding_add(list, CHECK_CONFIG, p->where, verdict, "\"%s\" is refused: %s", p->value,
                    p->rule);
    else
        finding_add(list, CHECK_CONFIG, p->where, verdict, "%s", p->rule);
    if (p->example != NULL)
        finding_remedy(list, "for example %s; `%s` has the rules", p->example, help);
    else
        finding_remedy(list, "`%s` has the rules", help);
}

void judge_config(struct findings *list, const struct problems *problems, const char *fine,
                  const char *help)
{
    if (problems->errors == 0)
        finding_add(list, CHECK_CONFIG, NULL, VERDICT_OK, "%s", fine);
    for (size_t i = 0; i < problems->count; i++)
        add(list, &problems->items[i], help);
    if (problems->unsaid == 0)
        return;
    finding_add(list, CHECK_CONFIG, NULL, problems->errors > 0 ? VERDICT_FAIL : VERDICT_WARN,
                "%zu more problems", problems->unsaid);
    finding_remedy(list, "mend those above, then look again");
}

#include "check/judge_config.h"

#include <string.h>

static void add(struct findings *list, const struct problem *p, const char *help)
{
    enum verdict verdict = p->warning ? VERDICT_WARN : VERDICT_FAIL;

    if (p->value != NULL)
        finding_add(list, CHECK_CONFIG, p->where, verdict, "\"%s\" is refused: %s", p->value,
                    p->rule);
    else
        finding_add(list, CHECK_CONFIG, p->where, verdict, "%s", p->rule);
    if (p->example != NULL && p->warning)
        finding_remedy(list, "write %s; `%s` has the rules", p->example, help);
    else if (p->example != NULL)
        finding_remedy(list, "for example %s; `%s` has the rules", p->example, help);
    else
        finding_remedy(list, "`%s` has the rules", help);
}

static bool is_said(const char *setting, const char *const *elsewhere)
{
    for (; setting != NULL && elsewhere != NULL && *elsewhere != NULL; elsewhere++)
        if (strcmp(*elsewhere, setting) == 0)
            return true;
    return false;
}

void judge_config(struct findings *list, const struct problems *problems,
                  const struct config_words *words)
{
    if (problems->errors == 0)
        finding_add(list, CHECK_CONFIG, NULL, VERDICT_OK, "%s", words->fine);
    for (size_t i = 0; i < problems->count; i++)
        if (!is_said(problems->items[i].setting, words->elsewhere))
            add(list, &problems->items[i], words->help);
    if (problems->unsaid == 0)
        return;
    finding_add(list, CHECK_CONFIG, NULL, problems->errors > 0 ? VERDICT_FAIL : VERDICT_WARN,
                "%zu more problems", problems->unsaid);
    finding_remedy(list, "mend those above, then look again");
}

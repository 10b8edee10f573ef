#include "check/judge_instance.h"

#include <errno.h>
#include <string.h>

void instance_facts_set(struct instance_facts *f, int answer)
{
    f->answer = answer;
    f->here = answer == 0 || answer == -EPERM || answer == -ETIMEDOUT;
}

/* The port may be somebody else's, which a check that claims none cannot see. */
static void not_registered(struct findings *list)
{
    finding_add(list, CHECK_INSTANCE, NULL, VERDICT_FAIL,
                "`mlgate run` is here and its tunnel is not registered with the server");
    finding_remedy(list,
                   "if dns to login are ok, the server refuses the ports: `mlgate status` and "
                   "the container's log (grep frpc) say who has them");
}

static void answered(struct findings *list, const struct health *h)
{
    if (health_is_ready(h)) {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_OK, "`mlgate run` is here and ready: %s",
                    health_text(h));
    } else if (!health_is_live(h)) {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_FAIL, "`mlgate run` is here: %s",
                    health_text(h));
        finding_remedy(list, "the container's log says why");
    } else if (h->registered != 1) {
        not_registered(list);
    } else {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_WARN,
                    "`mlgate run` is here and not ready: %s", health_text(h));
        finding_remedy(list, "MLNode needs a minute to start, and after a crash of its engine; "
                             "mlnode.management says more");
    }
}

void judge_instance(struct findings *list, const struct instance_facts *f)
{
    if (f->answer == 0) {
        answered(list, &f->health);
    } else if (f->answer == -EACCES || f->answer == -EPERM) {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_SKIP,
                    "only root may ask whether `mlgate run` is here");
    } else if (f->answer == -ETIMEDOUT) {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_FAIL,
                    "`mlgate run` is here and does not answer");
        finding_remedy(list, "restart the container");
    } else if (f->answer == -ENOENT || f->answer == -ECONNREFUSED) {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_SKIP,
                    "no `mlgate run` is here for this FRP_CONFIG_DIR");
    } else {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_SKIP, "cannot ask for `mlgate run`: %s",
                    strerror(-f->answer));
    }
}

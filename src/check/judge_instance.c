#include "check/judge_instance.h"

#include <errno.h>
#include <string.h>

#include "observe/advice.h"

void instance_facts_set(struct instance_facts *f, int answer)
{
    f->answer = answer;
    f->here = answer == 0 || answer == -EPERM || answer == -ETIMEDOUT;
}

/* The port may be somebody else's, which a check that claims none sees by the instance's word
 * only. */
static void not_registered(struct findings *list, const struct instance_facts *f, const char *who)
{
    const char *advice = advice_port(f->refused, f->several);

    if (f->refused[0] != '\0') {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_FAIL,
                    "%s is here, and the server refuses it port %u: %s", who, f->refused_port,
                    f->refused);
        finding_remedy(list, "%s", advice ? advice : "the server's log says more");
        return;
    }
    finding_add(list, CHECK_INSTANCE, NULL, VERDICT_FAIL,
                "%s is here and its tunnel is not registered with the server", who);
    finding_remedy(list,
                   "this is the symptom: the first FAIL below, of dns to login, is the cause; "
                   "if there is none, `mlgate status` and the container's log (grep frpc) "
                   "say more");
}

static void answered(struct findings *list, const struct instance_facts *f)
{
    const struct health *h = &f->health;

    if (health_is_ready(h)) {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_OK, "`mlgate run` is here and ready: %s",
                    health_text(h));
    } else if (!health_is_live(h)) {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_FAIL, "`mlgate run` is here: %s",
                    health_text(h));
        finding_remedy(list, "the container's log says why");
    } else if (h->registered != 1) {
        not_registered(list, f, "`mlgate run`");
    } else {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_WARN,
                    "`mlgate run` is here and not ready: %s", health_text(h));
        finding_remedy(list, "MLNode needs a minute to start, and after a crash of its engine; "
                             "mlnode.management says more");
    }
}

static void nobody(struct findings *list, const struct instance_facts *f)
{
    static const char start[] = "start it: `docker start`, or `mlgate run` where the platform's "
                                "SSH mode took its place; after a kill that nobody sent look for "
                                "the host's OOM killer (`dmesg`)";

    if (f->client && f->registered) {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_OK,
                    "`mlgate client` is here, which starts no MLNode; its tunnel is registered");
    } else if (f->client) {
        not_registered(list, f, "`mlgate client`");
    } else if (f->left[0] != '\0') {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_WARN,
                    "mlgate is not running: it left %s behind and is gone", f->left);
        finding_remedy(list, "%s", start);
    } else if (f->expected) {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_WARN,
                    "no `mlgate run` is here for this FRP_CONFIG_DIR, although PID 1 has its "
                    "variables");
        finding_remedy(list, "%s", start);
    } else {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_SKIP,
                    "no `mlgate run` is here for this FRP_CONFIG_DIR");
    }
}

void judge_instance(struct findings *list, const struct instance_facts *f)
{
    if (f->answer == 0) {
        answered(list, f);
    } else if (f->answer == -EACCES || f->answer == -EPERM) {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_SKIP,
                    "only root may ask whether `mlgate run` is here");
    } else if (f->answer == -ETIMEDOUT) {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_FAIL,
                    "`mlgate run` is here and does not answer");
        finding_remedy(list, "restart the container");
    } else if (f->answer == -ENOENT || f->answer == -ECONNREFUSED) {
        nobody(list, f);
    } else {
        finding_add(list, CHECK_INSTANCE, NULL, VERDICT_SKIP, "cannot ask for `mlgate run`: %s",
                    strerror(-f->answer));
    }
}

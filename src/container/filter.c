#include "container/filter.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "container/calls.h"

/* ---- the trap -------------------------------------------------------------------------------- */

enum { LINE_BYTES = 128 };

/* What the handler needs; a signal handler has no context. Set once, before the filter. */
static int trap_status;

struct line {
    char text[LINE_BYTES];
    size_t len;
};

static void add(struct line *l, const char *text)
{
    while (*text != '\0' && l->len < LINE_BYTES)
        l->text[l->len++] = *text++;
}

static void add_number(struct line *l, unsigned n)
{
    char digits[12];
    size_t at = sizeof(digits) - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    add(l, digits + at);
}

static const char *name_of(int number)
{
    for (size_t i = 0; i < calls_n_trapped; i++)
        if (calls_trapped[i].number == number)
            return calls_trapped[i].name;
    return "of another architecture";
}

/* Async-signal-safe: whoever comes here may have interrupted anything. */
static void trapped(int signal, siginfo_t *info, void *context)
{
    struct line l = {.len = 0};

    add(&l, "mlgate: the sandbox ends this process: forbidden system call ");
    add_number(&l, (unsigned)info->si_syscall);
    add(&l, " (");
    add(&l, name_of(info->si_syscall));
    add(&l, ")\n");
    if (write(STDERR_FILENO, l.text, l.len) < 0)
        _exit(trap_status); /* nobody reads: the status tells it too */
    _exit(trap_status);
}

static void set_trap(int status)
{
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};

    trap_status = status;
    sigfillset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
}

/* ---- the filter ------------------------------------------------------------------------------ */

static int add_call(scmp_filter_ctx filter, uint32_t action, const struct call *c)
{
    struct scmp_arg_cmp only[CALL_CONDITIONS];
    unsigned n = 0;

    for (size_t i = 0; i < CALL_CONDITIONS; i++)
        if (c->only[i].mask != 0)
            only[n++] = (struct scmp_arg_cmp){.arg = c->only[i].argument,
                                              .op = SCMP_CMP_MASKED_EQ,
                                              .datum_a = c->only[i].mask,
                                              .datum_b = c->only[i].wanted};
    return seccomp_rule_add_array(filter, action, c->number, n, only);
}

static int add_calls(scmp_filter_ctx filter, uint32_t action, const struct call *calls, size_t n)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_call(filter, action, &calls[i]);
    return rc;
}

static int set_attributes(scmp_filter_ctx filter)
{
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRAP);

    if (rc == 0) /* a tree: a call costs a few comparisons, not seventy */
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    /* Kernels before 5.16 slow a filtered process down against speculation. That protects parts of
     * a process from each other, and here is only one. Kernels before 4.17 do not know it. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    return rc;
}

static int fill(scmp_filter_ctx filter)
{
    const struct call abort_self = {.number = SCMP_SYS(tgkill),
                                    .only = {{0, UINT32_MAX, (uint64_t)getpid()}}};
    int rc = set_attributes(filter);

    if (rc == 0)
        rc = add_calls(filter, SCMP_ACT_ALLOW, calls_allowed, calls_n_allowed);
    if (rc == 0)
        rc = add_call(filter, SCMP_ACT_ALLOW, &abort_self);
    return rc != 0 ? rc : add_calls(filter, SCMP_ACT_TRAP, calls_trapped, calls_n_trapped);
}

static int count_allowed(void)
{
    int count = 1; /* tgkill */

    for (size_t i = 0; i < calls_n_allowed; i++) {
        bool seen = calls_allowed[i].number < 0; /* not on this architecture */

        for (size_t k = 0; k < i && !seen; k++)
            seen = calls_allowed[k].number == calls_allowed[i].number;
        count += !seen;
    }
    return count;
}

int filter_enter(int status)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int rc;

    if (filter == NULL)
        return -ENOSYS; /* an architecture that libseccomp does not know */
    rc = fill(filter);
    if (rc == 0) {
        set_trap(status);
        /* what libseccomp returns says little; errno is the kernel's */
        rc = seccomp_load(filter) == 0 ? 0 : -errno;
    }
    seccomp_release(filter);
    return rc != 0 ? rc : count_allowed();
}

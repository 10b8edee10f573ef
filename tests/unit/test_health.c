/* The socket of `mlgate health`, where its directory or PID 1 is in trouble. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "container/health.h"
#include "container/plan.h"

enum { ENOUGH = 30 }; /* seconds: only against hanging */

struct place {
    char directory[64];
    char name[80];
};

static int make(void **state)
{
    static struct place place;

    snprintf(place.directory, sizeof(place.directory), "/tmp/mlgate-test-XXXXXX");
    if (mkdtemp(place.directory) == NULL)
        return -1;
    snprintf(place.name, sizeof(place.name), "%s/mlgate.sock", place.directory);
    alarm(ENOUGH);
    *state = &place;
    return 0;
}

static int clear(void **state)
{
    const struct place *place = *state;

    alarm(0);
    remove(place->name);
    return rmdir(place->directory);
}

/* Asks in a process of its own, while this one answers: the result of health_ask. */
static int answered(const struct door *door, const char *directory)
{
    const struct health now = {.magic = HEALTH_MAGIC};
    struct health h;
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(-health_ask(directory, &h));
    while (waitpid(pid, &status, WNOHANG) == 0) {
        health_answer(door, &now);
        usleep(1000);
    }
    return -WEXITSTATUS(status);
}

/* An asker whom no descriptor is free for stays at the door, and whoever polls it must know. */
static void without_a_descriptor(void **state)
{
    const struct place *place = *state;
    const struct health now = {.magic = HEALTH_MAGIC};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int asker = socket(AF_UNIX, SOCK_STREAM, 0);
    struct rlimit before, none;
    struct health heard;
    struct door door;

    health_open(&door, place->directory, NULL);
    assert_true(health_answer(&door, &now)); /* nobody waits */
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", place->name);
    assert_int_equal(connect(asker, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_false(health_answer(&door, &now));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(health_answer(&door, &now));
    assert_int_equal(recv(asker, &heard, sizeof(heard), 0), (int)sizeof(heard));
    close(asker);
    door_close(&door);
}

static void what_a_former_life_left_is_replaced(void **state)
{
    const struct place *place = *state;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    struct door door;

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", place->name);
    assert_int_equal(bind(stale, (struct sockaddr *)&at, sizeof(at)), 0);
    close(stale);
    health_open(&door, place->directory, NULL);
    assert_string_equal(door.path, place->name);
    assert_int_equal(answered(&door, place->directory), 0);
    door_close(&door);
    assert_int_equal(access(place->name, F_OK), -1);
}

/* As where the directory has become read-only with the socket in it; a folder cannot be removed by
 * root either. */
static void what_cannot_be_removed_is_gone_around(void **state)
{
    const struct place *place = *state;
    struct door door;

    assert_int_equal(mkdir(place->name, 0700), 0);
    health_open(&door, place->directory, NULL);
    assert_true(door.fd >= 0);
    assert_int_equal(answered(&door, place->directory), 0);
    door_close(&door);
}

static void of_two_the_first_one_is_asked(void **state)
{
    const struct place *place = *state;
    struct door first;
    struct door second;

    health_open(&first, place->directory, NULL);
    health_open(&second, place->directory, NULL);
    assert_int_equal(second.fd, -1);
    door_close(&second);
    assert_int_equal(answered(&first, place->directory), 0);
    door_close(&first);
}

/* A PID 1 that hangs takes nobody in: the first one gets no answer and leaves his place taken, the
 * next one gets none. */
static void who_hangs_is_not_waited_for(void **state)
{
    const struct place *place = *state;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int hung = socket(AF_UNIX, SOCK_STREAM, 0);
    struct health h;

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", place->name);
    assert_int_equal(bind(hung, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(hung, 0), 0);
    assert_int_equal(health_ask(place->directory, &h), -ETIMEDOUT);
    assert_int_equal(health_ask(place->directory, &h), -ETIMEDOUT);
    close(hung);
}

static void whoever_answers_for_a_dead_mlnode_is_not_mlnode(void **state)
{
    struct health h = {.phase = PHASE_SERVE,
                       .worker = CHILD_ALIVE,
                       .registered = 1,
                       .manner = MANNER_ANSWERS,
                       .node = CHILD_ALIVE};

    assert_true(health_is_ready(&h));
    h.node = CHILD_NONE; /* it is elsewhere */
    assert_true(health_is_ready(&h));
    h.node = CHILD_PAUSED;
    assert_false(health_is_ready(&h));
    assert_string_equal(health_text(&h), "MLNode has ended and is started again");
    assert_true(health_is_live(&h));
    h.node = CHILD_SICK;
    assert_false(health_is_ready(&h));
    h.manner = MANNER_ABSENT;
    assert_string_equal(health_text(&h), "MLNode's management does not listen");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_former_life_left_is_replaced, make, clear),
        cmocka_unit_test_setup_teardown(what_cannot_be_removed_is_gone_around, make, clear),
        cmocka_unit_test_setup_teardown(of_two_the_first_one_is_asked, make, clear),
        cmocka_unit_test_setup_teardown(without_a_descriptor, make, clear),
        cmocka_unit_test_setup_teardown(who_hangs_is_not_waited_for, make, clear),
        cmocka_unit_test(whoever_answers_for_a_dead_mlnode_is_not_mlnode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

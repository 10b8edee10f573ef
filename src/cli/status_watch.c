#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/status.h"
#include "cli/terminal.h"

enum {
    EVERY_MS = 1000,
    ROWS = 24, /* of a terminal that does not say how many it has */
};

/* Another screen, so that what was on this one comes back; the cursor is in nobody's way. */
static const char enter[] = "\x1b[?1049h\x1b[?25l";
static const char leave[] = "\x1b[?25h\x1b[?1049l";

static volatile sig_atomic_t over;

static void stop(int number)
{
    over = number;
}

/* Whatever ends us from a terminal finds it as it was. One that is ignored (nohup) stays so. */
static void catch_signals(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};
    struct sigaction action = {.sa_handler = stop}; /* no SA_RESTART: waits end */
    struct sigaction before;

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(ends[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* As many lines as there is room for, over what was there before. */
static void draw(const char *text)
{
    unsigned rows = terminal_rows();
    unsigned left = (rows > 1 ? rows : ROWS) - 1;

    fputs("\x1b[H", stdout);
    while (*text != '\0' && left-- > 0) {
        int n = (int)strcspn(text, "\n");

        printf("%.*s\x1b[K\n", n, text);
        text += n + (text[n] == '\n');
    }
    fputs("\x1b[J", stdout);
}

static void show(const struct status_answer *answer, bool json, bool terminal)
{
    char *text = NULL;
    size_t len;
    FILE *memory;

    if (!terminal) {
        status_print(stdout, answer, json, JSON_COMPACT, false);
        if (!json)
            fputc('\n', stdout); /* between two */
        return;
    }
    memory = open_memstream(&text, &len);
    if (memory == NULL)
        return;
    status_print(memory, answer, false, 0, terminal_colour());
    fclose(memory);
    draw(text);
    mem_free(text);
}

bool status_watch(const struct status_target *target, bool json)
{
    bool terminal = !json && isatty(STDOUT_FILENO);
    bool answered = false;

    catch_signals();
    if (terminal)
        fputs(enter, stdout);
    while (over == 0) {
        struct status_answer answer;

        status_ask(target, &answer);
        if (over == 0) {
            show(&answer, json, terminal);
            answered = answer.error[0] == '\0';
        }
        json_decref(answer.document);
        if (fflush(stdout) != 0 || ferror(stdout))
            break; /* nobody reads any more */
        if (over == 0)
            poll(NULL, 0, EVERY_MS);
    }
    if (terminal)
        fputs(leave, stdout);
    return answered;
}

#include "http/date.h"

#include <string.h>

#include "base/text.h"

static const char days[] = "MonTueWedThuFriSatSun";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* The place of three letters in a list of such words; -1: not there. */
static int word_at(const char *list, const char *word)
{
    for (int i = 0; list[i * 3] != '\0'; i++)
        if (memcmp(list + i * 3, word, 3) == 0)
            return i;
    return -1;
}

static bool number(const char *at, size_t digits, unsigned max, int64_t *out)
{
    uint64_t value;

    if (!text_uint(at, digits, max, &value))
        return false;
    *out = (int64_t)value;
    return true;
}

/* Days from 1970-01-01 in the Gregorian calendar; years begin in March, so that the leap day is
 * their last. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month < 2 ? year - 1 : year;
    int64_t since_march = (month + 10) % 12;

    return y * 365 + y / 4 - y / 100 + y / 400 + (since_march * 153 + 2) / 5 + day - 1 - 719468;
}

static bool shape_is_right(const char *t)
{
    return t[3] == ',' && t[4] == ' ' && t[7] == ' ' && t[11] == ' ' && t[16] == ' ' &&
           t[19] == ':' && t[22] == ':' && memcmp(t + 25, " GMT", 4) == 0 && word_at(days, t) >= 0;
}

bool http_date_parse(struct http_slice text, int64_t *unix_s)
{
    const char *t = text.at;
    int64_t day, month, year, hour, minute, second;

    if (text.len != sizeof("Sun, 06 Nov 1994 08:49:37 GMT") - 1 || !shape_is_right(t))
        return false;
    month = word_at(months, t + 8);
    if (month < 0 || !number(t + 5, 2, 31, &day) || day == 0 || !number(t + 12, 4, 9999, &year) ||
        year == 0 || !number(t + 17, 2, 23, &hour) || !number(t + 20, 2, 59, &minute) ||
        !number(t + 23, 2, 60, &second))
        return false;
    *unix_s = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

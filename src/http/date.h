/* The Date field (RFC 9110 5.6.7), the one form that senders may write. */
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "http/head.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT" as seconds since 1970; false for anything else. The name of the
 * day is not compared with the date. A leap second counts as the second after it. */
bool http_date_parse(struct http_slice text, int64_t *unix_s);

#endif

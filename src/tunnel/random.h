#ifndef TUNNEL_RANDOM_H
#define TUNNEL_RANDOM_H

#include "tunnel/control.h"

/* The system's generator as a source for the cores. */
extern const struct randomness system_randomness;

#endif

/* The test servers of UBUNTU_TEST: the stand-in for MLNode (testnode) with a model up, and its
 * request logs where the image's documentation says. */
#ifndef CONTAINER_TESTSERVERS_H
#define CONTAINER_TESTSERVERS_H

#include "config/env.h"

/* A child_program's main; `env` is a struct env_config. The logs are
 *   LOG_DIR/http_server_8080.log   management
 *   LOG_DIR/http_server_5000.log   inference
 *   LOG_DIR/http_server_*.log      both, under exactly this name, because in the documented
 *                                  `docker exec C tail -f /tmp/logs/http_server_*.log` no shell
 *                                  reads the star
 * One that cannot be written is said and done without. */
int testservers_main(void *env, int link);

#endif

/* The verb `mlgate testnode`. argv[0] is the verb itself. Returns the exit status: 0 after SIGTERM
 * or SIGINT, 2 for bad flags, 1 when a port cannot be opened. */
#ifndef TESTNODE_VERB_H
#define TESTNODE_VERB_H

int testnode_main(int argc, char **argv);

#endif

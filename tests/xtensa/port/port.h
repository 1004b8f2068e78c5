// What the port's files share.

// Where the stack began.
extern void *port_stack_top;

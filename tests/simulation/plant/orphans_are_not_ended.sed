# service/census.c
# R6, 3.3: what a dead life of the daemon left on the servers is not looked for, and its claims are freed beside it.
s/^                (void)snprintf(target->orphan, .*/                return;/
s/^        target->foreign_sweep = true;//

# service/sweep.c
# R13: a sweep right after a start.
s/env_boottime(env) + settings->start_grace/0/

# service/settling.c
# R13: a sweep right after a start.
s/env_boottime(env) + start_grace/0/

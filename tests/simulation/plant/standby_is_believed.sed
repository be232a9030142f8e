# service/census.c
# P4, P6, P7: a standby, a pooler, a server that has just started.
s/^        if (doubt) .*/        free(doubt);\n        if (false)/

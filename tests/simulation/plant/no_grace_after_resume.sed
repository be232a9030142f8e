# service/settling.c
# R13: a sweep right after a resume from suspend.
s/settling->until = now + settling->start_grace;/settling->until = now;/

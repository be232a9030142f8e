# store/store.c
# The same, and checkpoints are not synced either: the file itself breaks.
s/synchronous = FULL;/synchronous = OFF;/
s/synchronous != 2/synchronous != 0/

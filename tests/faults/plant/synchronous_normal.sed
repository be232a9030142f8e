# store/store.c
# R14: a commit is not synced before it is told. kill -9 would never show it.
s/synchronous = FULL;/synchronous = NORMAL;/
s/synchronous != 2/synchronous != 1/

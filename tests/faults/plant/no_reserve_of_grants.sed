# store/store.c
# R20: the number of a slot that came and went without a trace is given out again after a crash.
s/((int64_t)1 << 20)/((int64_t)1)/

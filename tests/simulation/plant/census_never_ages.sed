# service/sweep.c
# A drop that waited for its slot goes by what was seen before.
s/boottime(sweeper) - taken > CENSUS_MAX_AGE_USEC ||/false ||/

# service/lease_recovery.c
# R15: nothing is loaded.
s/^        if (loaders\[row->kind\])/        if (false \&\& loaders[row->kind])/

# proto/names.c names berth_proto
# R9: LIKE 'test_%', whatever follows.
s/^        if (take_underscore(&at) && !take_part(&at, &suffix_rule, NAMES_MAX, name->suffix))/        if (true)\n                return true;\n&/

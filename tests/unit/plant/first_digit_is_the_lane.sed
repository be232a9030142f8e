# proto/names.c names berth_proto
# R26, as in the first seed document: the lane is the first number of the name, which is the pid's.
s/(at = strstr(at, "_gw"))/(at = strpbrk(at, "0123456789"))/
s/const char \*digit = at += strlen("_gw");/const char *digit = at;/
s/if (digit > at && (\*digit == '_' || \*digit == '\\0'))/if (digit > at)/

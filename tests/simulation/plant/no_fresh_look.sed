# service/drop_steps.c
# R4: the sessions are not asked again in the transaction of the drop.
s/^        if (oid && !strcmp(oid, drop->schema->oid)) {/&\n                enter(drop, \&checking);\n                return;/

# service/drop_steps.c
# R4: from the second transaction on the sessions are not asked again.
s/^        if (oid \&\& !strcmp(oid, drop->schema->oid)) {/&\n                if (drop->torn) {\n                        enter(drop, \&checking);\n                        return;\n                }/
